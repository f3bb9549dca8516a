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

// A block: its product, its first row in the batch, how many rows; and where its product ends.
struct Span { int p, at, rows, last, end; };

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
    int at = b.starts[p] + (block - b.blocks[p]) * BLOCK, last = b.starts[p + 1];
    return {p, at, min(BLOCK, last - at), last, b.blocks[p + 1]};
}

// The block behind another.
__device__ __forceinline__ void advance(const Batch& b, int block, Span& s) {
    if (block < s.end) {
        s.at += BLOCK;
        s.rows = min(BLOCK, s.last - s.at);
    } else
        s = span_of(b, block, s.p + 1);
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

// Copies a block's records ahead: each warp those of its 16 rows, two threads a row, one of them counts
// and places, the other contexts.
struct Copier {
    static constexpr int MOST = INFO > CHUNKS - INFO ? INFO : CHUNKS - INFO;
    const uint4* from;
    u32 to, step, part;
    int row, count;

    __device__ __forceinline__ Copier(const Batch& b, u32 shared) {
        int r = row = threadIdx.x >> 1;
        bool told = threadIdx.x & 1;
        from = b.rows + (told ? INFO : 0);
        to = shared + (told ? CONTEXT_AT + (r >> 3) * 128 + (r & 7) * 16 : INFO_AT + r * (INFO * 16));
        step = told ? 1024 : 16;
        part = told ? CONTEXT_PART : INFO_PART;
        count = told ? CHUNKS - INFO : INFO;
    }

    // Where the thread's row of a block lies in the log, -1: the block has no such row.
    __device__ __forceinline__ int find(const Batch& b, const Span& s) const {
        return row < s.rows ? b.order[s.at + row] : -1;
    }

    // Begins to copy it; a row that is not there becomes 0.
    __device__ __forceinline__ void copy(int place, int stage) const {
        const uint4* record = from + (long long)max(place, 0) * CHUNKS;
        u32 at = to + stage * part;
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            if (i < INFO && i < CHUNKS - INFO || i < count) copy16(at + i * step, record + i, place >= 0);
        }
        copies_end();
    }
};

// The one-hot rows of the elements a block shows: each thread writes half of one row's. A record says
// where in a row of cores; what is absent lies in the last column, which no product's window has.
struct Hot {
    static constexpr int MINE = (S + 1) / 2;
    u32 before[MINE], last[MINE];

    __device__ __forceinline__ Hot(u32 shared) {
#pragma unroll
        for (int i = 0; i < MINE; i++) before[i] = last[i] = row_of(shared, 0) + (DEEP / 8 - 1) * 1024;
    }

    static __device__ __forceinline__ u32 row_of(u32 shared, int stage) {
        int r = threadIdx.x >> 1;
        return shared + HOT_AT + stage * HOT_PART + (r >> 3) * 128 + (r & 7) * 16;
    }

    __device__ __forceinline__ void write(u32 shared, const char* info, int stage) {
        int r = threadIdx.x >> 1, half = threadIdx.x & 1;
        const short* place = (const short*)(info + r * (INFO * 16) + (5 + M) * 4) + half * MINE;
        u32 base = row_of(shared, stage);
#pragma unroll
        for (int i = 0; i < MINE; i++) store_short(before[i], 0);
        __syncwarp();
#pragma unroll
        for (int i = 0; i < MINE; i++) {
            before[i] = last[i];
            last[i] = base + (half * MINE + i < S ? place[i] : place[0]);
            store_short(last[i], 0x3F80);
        }
    }
};
