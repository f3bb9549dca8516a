// How a program walks its share of a batch: blocks of 64 rows of one product, rows copied ahead.

struct Batch {
    const float* table;      // (elements, WIDE)
    const float* told;       // (context columns, WIDE)
    const float* product;    // (products, ODDS)
    const float* bias;       // (ODDS)
    const int* order;        // rows of the batch, by product
    const int* starts;       // (products + 1) first row of a product in the batch
    const int* blocks;       // (products + 1) first block of a product
    const uint4* rows;       // (n, CHUNKS)
    const int* first;        // (products) first element
    const int* count;        // (products) how many
    int products, grid;
};

struct Span { int p, at, rows; };  // product, first row in the batch, how many

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
        if (b.blocks[middle + 1] <= block) low = middle + 1; else high = middle;
    }
    return low;
}

__device__ __forceinline__ Span span_of(const Batch& b, int block, int p) {
    while (b.blocks[p + 1] <= block) p++;
    int at = b.starts[p] + (block - b.blocks[p]) * BLOCK;
    return {p, at, min(BLOCK, b.starts[p + 1] - at)};
}

// Which column of the table a column of the products is, -1: none.
__device__ __forceinline__ int column_of(int c) {
    int g = 2 * (c >> 3) + (c & 1), t = (c & 7) >> 1;
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

// `deep` rows of a float table, `held` of them there, each `modulo` rows again, to shared memory.
__device__ __forceinline__ void load_table(
    u32 to, u32 part, const float* table, int deep, int held, int modulo, int columns,
    const int* column) {
    for (int i = threadIdx.x; i < deep * (columns / 8); i += THREADS) {
        int k = i / (columns / 8), n = i % (columns / 8);
        float x[8];
#pragma unroll
        for (int e = 0; e < 8; e++) {
            int j = column[8 * n + e];
            x[e] = k < held && j >= 0 ? table[(long long)(k % modulo) * WIDE + j] : 0.0f;
        }
        u32 high[4], low[4];
#pragma unroll
        for (int e = 0; e < 4; e++) high[e] = halves(x[2 * e], x[2 * e + 1], low[e]);
        u32 at = to + n * (deep * 16) + (k >> 3) * 128 + (k & 7) * 16;
        store16(at, high[0], high[1], high[2], high[3]);
        if (FINE) store16(at + part, low[0], low[1], low[2], low[3]);
    }
}

constexpr int ITEMS = (16 * CHUNKS + 31) / 32;  // 16-byte words of its warp's 16 rows a thread copies

struct Copier {
    int from[ITEMS], to[ITEMS], row[ITEMS];

    __device__ __forceinline__ Copier() {
        int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            int item = min(i * 32 + lane, 16 * CHUNKS - 1);
            int r = warp * 16 + item / CHUNKS, chunk = item % CHUNKS, c = chunk - INFO;
            row[i] = i * 32 + lane < 16 * CHUNKS ? r : BLOCK;
            from[i] = chunk;
            to[i] = c < 0 ? INFO_AT + r * (INFO * 16) + chunk * 16
                          : CONTEXT_AT + c * 1024 + (r >> 3) * 128 + (r & 7) * 16;
        }
    }

    // Where the rows of a block lie in the log.
    __device__ __forceinline__ void find(const Batch& b, const Span& s, int (&places)[ITEMS]) const {
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
            places[i] = row[i] < s.rows ? b.order[s.at + row[i]] : -1;
    }

    // Begins to copy them; rows that are not there become 0.
    __device__ __forceinline__ void copy(
        const Batch& b, const int (&places)[ITEMS], u32 shared, int stage) const {
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            bool info = from[i] < INFO;
            u32 at = shared + to[i] + stage * (info ? INFO_PART : CONTEXT_PART);
            long long place = places[i] < 0 ? 0 : places[i];
            if (row[i] < BLOCK) copy16(at, b.rows + place * CHUNKS + from[i], places[i] >= 0);
        }
        copies_end();
    }
};

// The one-hot rows of the elements a block shows: each thread writes half of one row's.
struct Hot {
    static constexpr int MINE = (S + 1) / 2;
    u32 at[2][MINE];

    __device__ __forceinline__ Hot() {
#pragma unroll
        for (int i = 0; i < 2 * MINE; i++) at[i / MINE][i % MINE] = 0;
    }

    template <int SIDE>
    __device__ __forceinline__ void write(u32 shared, const char* info, int rows) {
        int r = threadIdx.x >> 1, half = threadIdx.x & 1;
        const short* local = (const short*)(info + r * (INFO * 16) + (5 + M) * 4);
        u32 base = shared + HOT_AT + SIDE * HOT_PART + (r >> 3) * 128 + (r & 7) * 16;
#pragma unroll
        for (int i = 0; i < MINE; i++) {
            if (at[SIDE][i]) store_short(at[SIDE][i], 0);
        }
        __syncwarp();
#pragma unroll
        for (int i = 0; i < MINE; i++) {
            int s = half * MINE + i, k = s < S && r < rows ? local[s] : -1;
            at[SIDE][i] = k < 0 ? 0 : base + (k >> 3) * 1024 + (k & 7) * 2;
            if (k >= 0) store_short(at[SIDE][i], 0x3F80);
        }
    }
};
