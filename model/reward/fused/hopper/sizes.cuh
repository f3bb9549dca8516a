// Sizes of the row kernels, and where what they need lies in shared memory. Compiled by NVRTC: no
// headers. They come as -D: M members, R and Q factors of a pair and of a context, S slots, ODDS
// columns of bias and product, WIDE columns of the elements' table, CONTEXT context columns, PARTS
// 2 where these are held as two bf16 numbers, CHUNKS 16-byte words of a row's record, INFO of them
// before its contexts, WINDOW elements of the widest product, FINDERS warpgroups that find slopes,
// REGISTERS of a thread that sums them up.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

__device__ constexpr int up(int x, int to) { return (x + to - 1) / to * to; }

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;
constexpr int BLOCK = 64, GROUP = 128,
              THREADS = (FINDERS + 1) * GROUP;  // of a warpgroup, a program
constexpr int SLOTS = up(S, 4);

// A group of columns is 4 columns of a table of products, one for each thread of a quad, all of one
// member. What elements add comes in groups of terms, factors and pairs; what contexts add in terms
// and factors; their slopes in terms, factors and pairs of elements, then factors of contexts.
constexpr int TERMS = (M + 1) / 2, FQ = (Q + 3) / 4, FR = (R + 3) / 4;
constexpr int FACTORS = TERMS + M * FQ, PAIRS = FACTORS + M * FR,
              TOLD = PAIRS + M * FQ;  // their ends
constexpr int NT = up(4 * FACTORS, 8), N = up(4 * PAIRS, 8), NS = up(4 * TOLD, 8);

// A block's rows are a matrix of bf16: one-hot elements, contexts, and one column group for what is
// absent.
constexpr int ELEMENTS = up(WINDOW, 8), CONTEXTS = up(PARTS * CONTEXT, 8),
              SEEN = ELEMENTS + CONTEXTS;
constexpr int KW = up(ELEMENTS, 16), KC = up(CONTEXTS, 16), TILES = up(SEEN, 64) / 64;

// Shared memory, in bytes. A matrix lies in cores of 8 rows x 8 columns of bf16, 128 bytes each.
constexpr int MOST_SHARED = 227 * 1024;
constexpr int WINDOW_PART = KW * N * 2, TOLD_PART = KC * NT * 2, SLOPES_PART = BLOCK * NS * 2;
constexpr int INFO_AT = (SEEN + 8) * BLOCK * 2, STAGE = INFO_AT + BLOCK * INFO * 16;
constexpr int WINDOWS_AT = 0, TOLD_AT = WINDOWS_AT + FINDERS * 2 * WINDOW_PART;
constexpr int SLOPES_AT = TOLD_AT + 2 * TOLD_PART;              // of each finder: A, then B
constexpr int SUMS = 4 * M;                                     // numbers of a warp or of a product
constexpr int SUMS_AT = SLOPES_AT + FINDERS * 2 * SLOPES_PART;  // of each finder, twice, its warps
constexpr int TOTALS_AT = SUMS_AT + FINDERS * 2 * 4 * SUMS * 4;  // of a product
constexpr int BIAS_AT = TOTALS_AT + up(SUMS * 4, 16);   // gradients so far, and members' losses
constexpr int LOSSES_AT = BIAS_AT + up(3 * M * 4, 16);  // of each finder's warp
constexpr int COLUMNS_AT = LOSSES_AT + up(4 * FINDERS * 4, 16);  // a table's column of each, twice
constexpr int WEIGHED_AT = COLUMNS_AT + 2 * NS * 4;              // what B counts in each
constexpr int OWN_AT = WEIGHED_AT + NS * 4;  // of each finder's product its log-odds
constexpr int GATES_AT = up(OWN_AT + FINDERS * 2 * up(M, 4) * 4, 16);
constexpr int STAGES_AT = up(GATES_AT + 32 * 8, 128);
constexpr int BEHIND = TILES * 8192 > STAGE ? TILES * 8192 - STAGE : 0;  // read, without meaning
constexpr int SHARED = STAGES_AT + FINDERS * 2 * STAGE + BEHIND;         // two stages a finder
static_assert(SHARED <= MOST_SHARED, "a program's blocks don't fit in shared memory");

// Bytes of shared memory that `gradients` takes.
extern "C" __global__ void shared_bytes(int* found) { found[0] = SHARED; }
