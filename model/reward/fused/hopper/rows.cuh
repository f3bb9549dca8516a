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

// A block: its product, its first row in the batch, how many rows; and where its product ends.
struct Span {
    int p, at, rows, last, end;
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

// The same where terms are those of a click alone, first members at even places (`clicks`).
__device__ __forceinline__ int click_column_of(int g, int t) {
    if (g >= TERMS) return column_of(g, t);
    int i = 2 * g + (t >> 1), m = (t & 1) * HALF + i;
    return i < HALF && m < M ? m : -1;
}

// Columns of the table by column of the slopes: of an element, then of a context.
__device__ __forceinline__ void number(int* column) {
    for (int c = threadIdx.x; c < NS; c += THREADS) {
        int g = 2 * (c >> 3) + (c & 1), t = (c & 7) >> 1;
        column[c] = column_of(g, t);
        column[NS + c] = g < TERMS                ? column[c]
                         : g >= PAIRS && g < TOLD ? column_of(g - PAIRS + TERMS, t)
                                                  : -1;
    }
}

// `deep` rows of a float table, `held` of them there, each `modulo` rows again, to shared memory.
__device__ __forceinline__ void load_table(u32 to, u32 part, const float* table, int deep, int held,
                                           int modulo, int columns, const int* column) {
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
        store16(at + part, low[0], low[1], low[2], low[3]);
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

// Copies a block's records ahead: each warp those of its 16 rows, a row after the other.
struct Copier {
    static constexpr int EACH = (16 * CHUNKS + 31) / 32;
    const uint4* rows;
    u32 to[EACH];

    static __device__ __forceinline__ int item(int i) {
        return min(i * 32 + (int)(threadIdx.x & 31), 16 * CHUNKS - 1);
    }

    __device__ __forceinline__ Copier(const Batch& b, u32 shared) : rows(b.rows) {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int r = (threadIdx.x >> 5) * 16 + item(i) / CHUNKS, chunk = item(i) % CHUNKS,
                c = chunk - INFO;
            to[i] = shared + STAGES_AT +
                    (c < 0 ? INFO_AT + r * (INFO * 16) + chunk * 16
                           : (ELEMENTS / 8 + c) * 1024 + r / 8 * 128 + r % 8 * 16);
        }
    }

    // Where the row of the lane's place lies in the log, -1: the block has no such row.
    __device__ __forceinline__ int find(const Batch& b, const Span& s) const {
        int row = (threadIdx.x >> 5) * 16 + (threadIdx.x & 15);
        return row < s.rows ? b.order[s.at + row] : -1;
    }

    // Begins to copy; a row that is not there becomes 0.
    __device__ __forceinline__ void copy(int place, int stage) const {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int from = __shfl_sync(0xffffffffu, place, item(i) / CHUNKS);
            long long record = (long long)max(from, 0) * CHUNKS + item(i) % CHUNKS;
            if (CHUNKS % 2 == 0 || i * 32 + (threadIdx.x & 31) < 16 * CHUNKS)
                copy16(to[i] + stage * STAGE, rows + record, from >= 0);
        }
        copies_end();
    }
};

// The one-hot rows of the elements a block shows: each thread writes half of one row's. A record
// says where in its row of cores an element lies, two in a word; what is absent lies behind all
// others.
struct Hot {
    static constexpr int WORDS = SLOTS / 4;
    u32 row, info, before[WORDS], last[WORDS];

    __device__ __forceinline__ Hot(u32 shared) {
        int r = threadIdx.x >> 1;
        row = shared + STAGES_AT + r / 8 * 128 + r % 8 * 16;
        info = STAGES_AT + INFO_AT + r * (INFO * 16) + (5 + M + (threadIdx.x & 1) * WORDS) * 4;
#pragma unroll
        for (int i = 0; i < WORDS; i++) before[i] = last[i] = SEEN / 8 * (1024 + 65536 * 1024);
    }

    __device__ __forceinline__ void write(const char* memory, int stage) {
        const u32* places = (const u32*)(memory + info + stage * STAGE);
        u32 to = row + stage * STAGE;
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            store_short(to + (before[i] & 0xffff), 0);
            store_short(to + (before[i] >> 16), 0);
        }
        __syncwarp();
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            before[i] = last[i];
            last[i] = places[i];
            store_short(to + (last[i] & 0xffff), 0x3F80);
            store_short(to + (last[i] >> 16), 0x3F80);
        }
        __syncwarp();
    }
};
