// Sizes of the row kernels, and where what they need lies in shared memory. Compiled by NVRTC: no
// headers. They come as -D: M members, R and Q factors of a pair and of a context, S slots, ODDS
// columns of bias and product, WIDE columns of the elements' table, CONTEXT context columns, PARTS
// 2 where these are held as two bf16 numbers, CHUNKS 16-byte words of a row's record, INFO of them
// before its contexts, WINDOW elements of the widest product, FINE 1 where slopes enter the matrix
// units as two bf16 numbers, as weights always do.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

__device__ constexpr int up(int x, int to) { return (x + to - 1) / to * to; }

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;
constexpr int BLOCK = 64, THREADS = 128, HALVES = FINE + 1, HALF = (M + 1) / 2;
constexpr int SLOTS = up(S, 4);

// A group is 4 columns of a table of products, one for each thread of a quad, all of one member.
// What elements add comes in groups of terms, factors and pairs; what contexts add in terms and
// factors; their slopes in terms, factors and pairs of elements, then factors of contexts.
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
constexpr int WINDOW_PART = KW * N * 2, TOLD_PART = KC * NT * 2, SLOPES_PART = BLOCK * NS * 2;
constexpr int INFO_AT = (SEEN + 8) * BLOCK * 2, STAGE = INFO_AT + BLOCK * INFO * 16;
constexpr int WINDOW_AT = 0, TOLD_AT = WINDOW_AT + 2 * WINDOW_PART;
constexpr int STAGES_AT = TOLD_AT + 2 * TOLD_PART;
constexpr int SUMS_AT = STAGES_AT + 2 * STAGE;                   // 4 warps x 3 x 2 M floats
constexpr int COLUMNS_AT = SUMS_AT + up(4 * 3 * 2 * M * 4, 16);  // a table's column of each, twice
constexpr int LEVELS_SHARED = up(COLUMNS_AT + 2 * NS * 4, 128);
constexpr int GRADIENTS_SHARED = LEVELS_SHARED + HALVES * SLOPES_PART;

// Bytes of shared memory that the row kernels take.
extern "C" __global__ void shared_bytes(int* found) {
    found[0] = LEVELS_SHARED;
    found[1] = GRADIENTS_SHARED;
}
