// Sizes of the row kernels, and where what they need lies in shared memory. Compiled by NVRTC: no headers.
// Compile-time sizes come as -D: M members, R and Q factors of a pair and of a context, S slots, ODDS
// columns of bias and product, WIDE columns of the elements' table, CONTEXT context columns, PARTS 2
// where these are held as two bf16 numbers, CHUNKS 16-byte words of a row, INFO of them before its
// contexts, WINDOW elements of the widest product, DEEP
// columns of one-hot rows, FINE 1 where floats enter as two bf16 numbers.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

__device__ constexpr int up(int x, int to) { return (x + to - 1) / to * to; }

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;
constexpr int BLOCK = 64, THREADS = 128;
// A group is 4 columns of a table of products, one for each thread of a quad, all of one member.
constexpr int TERMS = (M + 1) / 2, FQ = (Q + 3) / 4, FR = (R + 3) / 4;
constexpr int FACTORS = TERMS + M * FQ, PAIRS = FACTORS + M * FR;  // where the next kind begins
constexpr int NT = up(4 * FACTORS, 8), N = up(4 * PAIRS, 8);       // columns: contexts', elements'
constexpr int KW = up(WINDOW, 16), KB = DEEP / 64;                 // elements, padded to 16 and 64
constexpr int KC = up(PARTS * CONTEXT, 16);
constexpr int HALVES = FINE + 1;

// Shared memory, in bytes. A matrix lies in cores of 8 rows x 8 columns of bf16, 128 bytes each.
constexpr int WINDOW_PART = KW * N * 2, TOLD_PART = KC * NT * 2;
constexpr int HOT_PART = KB * 64 * BLOCK * 2, CONTEXT_PART = KC * BLOCK * 2;
constexpr int INFO_PART = BLOCK * INFO * 16;
constexpr int GRAD_PART = BLOCK * (N + NT) * 2;
constexpr int WINDOW_AT = 0, TOLD_AT = WINDOW_AT + HALVES * WINDOW_PART;
constexpr int HOT_AT = TOLD_AT + HALVES * TOLD_PART, INFO_AT = HOT_AT + 2 * HOT_PART;
constexpr int CONTEXT_AT = INFO_AT + 2 * INFO_PART;
constexpr int SUMS_AT = CONTEXT_AT + 2 * CONTEXT_PART;  // 4 warps x 3 x 2 M floats
constexpr int COLUMNS_AT = SUMS_AT + up(4 * 3 * 2 * M * 4, 16);
constexpr int GRAD_AT = COLUMNS_AT + up(N * 4, 128);
constexpr int LEVELS_SHARED = GRAD_AT, GRADIENTS_SHARED = GRAD_AT + HALVES * GRAD_PART;

// Bytes of shared memory that the row kernels take.
extern "C" __global__ void shared_bytes(int* found) {
    found[0] = LEVELS_SHARED;
    found[1] = GRADIENTS_SHARED;
}
