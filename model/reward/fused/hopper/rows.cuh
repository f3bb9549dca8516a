// How a program walks its share of a batch: blocks of 64 rows of one product, rows copied ahead.

struct Batch {
    const float* table;    // (elements, WIDE)
    const float* told;     // (context columns, WIDE)
    const float* product;  // (products, ODDS)
    const float* bias;     // (ODDS)
    const int* order;      // rows of the batch, by product
    const int* starts;     // (products + 1) first row of a product in the batch
    const int* blocks;     // (products + 1) first block of a product
    const uint4* rows;     // (n, CHUNKS)
    const int* first;      // (products) first element
    const int* count;      // (products) how many
    int products, grid;
};

// A block's product, and the block where that ends.
struct Run {
    int p, end;
};

// First block of program c.
__device__ __forceinline__ int begins(const Batch& b, int c) {
    return (int)((long long)c * b.blocks[b.products] / b.grid);
}

// The program that has a block.
__device__ __forceinline__ int owner(const Batch& b, int block) {
    return (int)((((long long)block + 1) * b.grid - 1) / b.blocks[b.products]);
}

__device__ __forceinline__ int product_of(const Batch& b, int block) {
    int low = 0, high = b.products - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (b.blocks[middle + 1] <= block)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

__device__ __forceinline__ Run run_of(const Batch& b, int block) {
    int p = product_of(b, block);
    return {p, b.blocks[p + 1]};
}

// From a block to a later one.
__device__ __forceinline__ void advance(const Batch& b, int block, Run& run) {
    while (run.end <= block) run.end = b.blocks[++run.p + 1];
}

// Which column of the table a column of groups is, -1: none.
__device__ __forceinline__ int column_of(int g, int t) {
    if (g < TERMS) {
        int m = 2 * g + (t >> 1);
        return m < M ? (t & 1) * M + m : -1;
    }
    if (g < FACTORS) {
        int m = (g - TERMS) / (FQ > 0 ? FQ : 1), f = (g - TERMS) % (FQ > 0 ? FQ : 1) * 4 + t;
        return f < Q ? 2 * M + M * R + m * Q + f : -1;
    }
    if (g < PAIRS) {
        int m = (g - FACTORS) / (FR > 0 ? FR : 1), f = (g - FACTORS) % (FR > 0 ? FR : 1) * 4 + t;
        return f < R ? 2 * M + m * R + f : -1;
    }
    return -1;
}

// Columns of the table by column of the slopes: of an element, then of a context.
__device__ __forceinline__ void number(int* column) {
    for (int c = threadIdx.x & (GROUP - 1); c < NS; c += GROUP) {
        int g = 2 * (c >> 3) + (c & 1), t = (c & 7) >> 1;
        column[c] = column_of(g, t);
        column[NS + c] = g < TERMS                ? column[c]
                         : g >= PAIRS && g < TOLD ? column_of(g - PAIRS + TERMS, t)
                                                  : -1;
    }
}

// DEEP rows of a float table, `held` of them there, each MODULO rows again, to shared memory. A
// thread reads several times before it waits.
template <int DEEP, int MODULO, int COLUMNS>
__device__ __forceinline__ void load_table(u32 to, u32 part, const float* table, int held,
                                           const int* column) {
    constexpr int ITEMS = DEEP * (COLUMNS / 8), AHEAD = 4;
    for (int base = threadIdx.x & (GROUP - 1); base < ITEMS; base += AHEAD * GROUP) {
        float x[AHEAD][8];
#pragma unroll
        for (int ahead = 0; ahead < AHEAD; ahead++) {
            int i = base + ahead * GROUP, k = i / (COLUMNS / 8), n = i % (COLUMNS / 8);
#pragma unroll
            for (int e = 0; e < 8; e++) {
                int j = i < ITEMS ? column[8 * n + e] : -1;
                x[ahead][e] = k < held && j >= 0 ? table[(long long)(k % MODULO) * WIDE + j] : 0.0f;
            }
        }
#pragma unroll
        for (int ahead = 0; ahead < AHEAD; ahead++) {
            int i = base + ahead * GROUP, k = i / (COLUMNS / 8), n = i % (COLUMNS / 8);
            u32 high[4], low[4], at = to + n * (DEEP * 16) + (k >> 3) * 128 + (k & 7) * 16;
#pragma unroll
            for (int e = 0; e < 4; e++)
                high[e] = halves(x[ahead][2 * e], x[ahead][2 * e + 1], low[e]);
            if (i < ITEMS) {
                store16(at, high[0], high[1], high[2], high[3]);
                store16(at + part, low[0], low[1], low[2], low[3]);
            }
        }
    }
}

// Counts and weights of a row.
template <int COUNT>
__device__ __forceinline__ void load_row(float (&row)[COUNT], const char* from) {
#pragma unroll
    for (int i = 0; i < COUNT / 4; i++) {
        float4 part = ((const float4*)from)[i];
        row[4 * i] = part.x, row[4 * i + 1] = part.y, row[4 * i + 2] = part.z,
                row[4 * i + 3] = part.w;
    }
}

// Copies a finder's blocks ahead: each warp records of its 16 rows, 512 bytes at once.
struct Copier {
    static constexpr int EACH = (16 * CHUNKS + 31) / 32;
    u32 to[EACH];
    int at, last, place;  // the lane's row in the batch, its product's end, where the row lies, -1

    static __device__ __forceinline__ int item(int i) {
        return min(i * 32 + (int)(threadIdx.x & 31), 16 * CHUNKS - 1);
    }

    __device__ __forceinline__ explicit Copier(u32 stages) {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int r = (threadIdx.x >> 5 & 3) * 16 + item(i) / CHUNKS, chunk = item(i) % CHUNKS,
                c = chunk - INFO;
            to[i] = stages + (c < 0 ? INFO_AT + r * (INFO * 16) + chunk * 16
                                    : (ELEMENTS / 8 + c) * 1024 + r / 8 * 128 + r % 8 * 16);
        }
    }

    // Looks up a block's rows.
    __device__ __forceinline__ void seek(const Batch& b, const Run& run, int block) {
        at = b.starts[run.p] + (block - b.blocks[run.p]) * BLOCK + (threadIdx.x >> 5 & 3) * 16 +
             (threadIdx.x & 15);
        last = b.starts[run.p + 1];
        place = at < last ? b.order[at] : -1;
    }
    // Of the same product, `by` blocks on.
    __device__ __forceinline__ void go(const Batch& b, int by) {
        at += by * BLOCK;
        place = at < last ? b.order[at] : -1;
    }

    // Begins to copy these rows to a stage; a row that is not there becomes 0.
    __device__ __forceinline__ void copy(const Batch& b, int stage) const {
        if (from(place, 15) >= 0)
            copy<true>(b.rows, stage);
        else
            copy<false>(b.rows, stage);
    }

    template <bool ALL>
    __device__ __forceinline__ void copy(const uint4* rows, int stage) const {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int row = from(place, item(i) / CHUNKS);
            const uint4* record =
                rows + (long long)(ALL ? row : max(row, 0)) * CHUNKS + item(i) % CHUNKS;
            if (CHUNKS % 2 == 0 || i * 32 + (threadIdx.x & 31) < 16 * CHUNKS)
                copy16(to[i] + stage, record, ALL || row >= 0);
        }
    }
};

// The ones of the elements that a block shows: each thread writes half of one row's. A record says
// where in its row of cores an element lies, two in a word; what is absent lies behind all others.
struct Ones {
    static constexpr int WORDS = SLOTS / 4;
    u32 row, info;

    __device__ __forceinline__ explicit Ones(u32 stages) {
        int half = threadIdx.x & 1, r = (threadIdx.x & (GROUP - 1)) >> 1;
        row = stages + r / 8 * 128 + r % 8 * 16;
        info = stages + INFO_AT + r * (INFO * 16) + (5 + M + half * WORDS) * 4;
    }

    struct Places {
        u32 of[WORDS];
    };
    __device__ __forceinline__ Places places(int stage) const {
        Places found;
#pragma unroll
        for (int i = 0; i < WORDS; i++) found.of[i] = load_word(info + stage + 4 * i);
        return found;
    }

    __device__ __forceinline__ void write(int stage, const Places& places, u16 number) const {
        u32 to = row + stage;
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            store_short(to + (places.of[i] & 0xffff), number);
            store_short(to + (places.of[i] >> 16), number);
        }
    }
};
