// Sums of slopes by what rows show, by a warpgroup of their own.

// What a pass over rows leaves. A piece is what one program has of a product that is not whole in
// it; apart: none is, as other processes have rows of all.
struct Found {
    float* table;     // (elements, WIDE) of whole products
    float* product;   // (products, 2 M) by code, likewise
    float* pieces;    // (slots, 2, ELEMENTS, WIDE) of a piece A and B of elements,
    float* told;      // (slots, PARTS CONTEXT, WIDE) B of contexts,
    float* totals;    // (slots, 4 M) sums of slopes, masses, clicks
    int* held;        // (grid, 4) products of which a program has pieces: two ranges
    float* contexts;  // (grid, PARTS CONTEXT, WIDE) all else of contexts
    float* bias;      // (grid, 2 M + 1) of bias, and the loss
    int apart;

    // Of program c's piece of product p; begun: the product begins in it. Without `apart` there are
    // two at most, the first and the last.
    __device__ __forceinline__ long long slot(int c, int p, bool begun) const {
        return apart ? c + p : 2 * c + begun;
    }
};

// Whose mass B's column c is weighed by, -1: none. Columns as of the table.
__device__ __forceinline__ int member_of(int j) {
    if (j < 2 * M) return j < M ? j : -1;
    int k = j - 2 * M, m = k < M * R ? k / (R > 0 ? R : 1) : (k - M * R) / (Q > 0 ? Q : 1);
    return m < M ? m : -1;
}

__device__ __forceinline__ float weight_of(const Asked& asked, float mass, float fell) {
    return mass > 0 ? asked.comparison * asked.scale * fell / mass : 0.0f;
}

// A and B of a product's elements; of contexts A of all the program's rows, B of a product's.
struct Sums {
    float sum[TILES][NS];  // A, then B

    __device__ __forceinline__ Sums() {
#pragma unroll
        for (int i = 0; i < TILES * NS; i++) sum[i / NS][i % NS] = 0;
    }

    __device__ __forceinline__ float& a(int tile, int i) { return sum[tile][i]; }
    __device__ __forceinline__ float& b(int tile, int i) { return sum[tile][NS / 2 + i]; }

    // Begins to add; matrix: of the stage.
    __device__ __forceinline__ void add(u32 matrix, u32 slopes_at) {
        Matrix seen = cores(matrix, 128, 1024), slopes = cores(slopes_at, 128, 1024);
        arrive();
#pragma unroll
        for (int k = 0; k < BLOCK / 16; k++) {
#pragma unroll
            for (int tile = 0; tile < TILES; tile++)
                product_slopes_turned(sum[tile], seen.at(tile * 8192 + k * 256),
                                      slopes.at(k * 256));
        }
        commit();
    }

    // What the i-th number of a tile is summed over: elements from 0, then contexts from ELEMENTS.
    static __device__ __forceinline__ int row_of(int tile, int i) {
        int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
        return tile * 64 + warp * 16 + (i & 2) * 4 + (lane >> 2);
    }
    static __device__ __forceinline__ int column_at(int i) {
        return (i >> 2) * 8 + (threadIdx.x & 3) * 2 + (i & 1);
    }

    // Of a whole product: writes its elements' sums, B weighed, and begins them anew.
    __device__ __forceinline__ void flush(float* to, int held, const int* column,
                                          const float* weighed) {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            int k = row_of(tile, 0);
            float* rows = to + k * WIDE;
            bool there[2] = {k < held, k + 8 < held}, own[2] = {k < ELEMENTS, k + 8 < ELEMENTS};
#pragma unroll
            for (int n = 0; n < NS / 8; n++) {
                int2 j = *(const int2*)(column + column_at(4 * n));
                float2 w = *(const float2*)(weighed + column_at(4 * n));
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    int i = 4 * n + 2 * r;
                    float one = a(tile, i) + w.x * b(tile, i),
                          other = a(tile, i + 1) + w.y * b(tile, i + 1);
                    if (there[r] && j.x >= 0) rows[r * 8 * WIDE + j.x] = one;
                    if (there[r] && j.y >= 0) rows[r * 8 * WIDE + j.y] = other;
                    a(tile, i) = own[r] ? 0 : one;
                    a(tile, i + 1) = own[r] ? 0 : other;
                    b(tile, i) = b(tile, i + 1) = 0;
                }
            }
        }
    }

    // Of a piece: writes A and B of its elements, B of contexts.
    __device__ __forceinline__ void flush_piece(float* to, float* told, int held,
                                                const int* column) {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < NS / 2; i++) {
                int k = row_of(tile, i), c = k - ELEMENTS, at = column_at(i);
                int j = column[at], t = column[NS + at];
                if (k < held && j >= 0) {
                    to[k * WIDE + j] = a(tile, i);
                    to[(ELEMENTS + k) * WIDE + j] = b(tile, i);
                }
                if (c >= 0 && c < PARTS * CONTEXT && t >= 0) told[c * WIDE + t] = b(tile, i);
                if (k < ELEMENTS) a(tile, i) = 0;
                b(tile, i) = 0;
            }
        }
    }

    // Writes the contexts' sums.
    __device__ __forceinline__ void flush_told(float* to, const int* column) {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < NS / 2; i++) {
                int c = row_of(tile, i) - ELEMENTS, j = column[NS + column_at(i)];
                if (c >= 0 && c < PARTS * CONTEXT && j >= 0) to[c * WIDE + j] = a(tile, i);
            }
        }
    }
};

// Totals of a product of which the program's last block was a finder's, at a turn; `before` blocks
// of it came before. Of a whole product (slot -1) B's weights follow.
__device__ __forceinline__ void total(const Found& found, const Asked& asked, long long slot, int p,
                                      int before, int finder, int turn, char* memory,
                                      const float* known, const int* code) {
    int thread = threadIdx.x & (GROUP - 1);
    const int* column = (const int*)(memory + COLUMNS_AT);
    const float* sums = (const float*)(memory + SUMS_AT);
    float* totals = (float*)(memory + TOTALS_AT);
    float* bias = (float*)(memory + BIAS_AT);
    if (thread < SUMS) {
        float total = 0;
        for (int back = 0; back < FINDERS && back <= before; back++) {
            int f = finder - back, t = turn;
            if (f < 0) f += FINDERS, t--;
            const float* of = sums + (f * 8 + (t & 1) * 4) * SUMS + thread;
            total += (of[0] + of[SUMS]) + (of[2 * SUMS] + of[3 * SUMS]);
        }
        totals[thread] = total;
        if (thread < 2 * M) bias[thread] += total;
        if (slot >= 0)
            found.totals[slot * SUMS + thread] = total;
        else if (thread < 2 * M)
            found.product[(long long)code[p] * (2 * M) + thread] = total * known[p];
    }
    meet();
    if (slot >= 0) return;
    for (int c = thread; c < NS; c += GROUP) {
        int m = column[c] < 0 ? column[NS + c] : column[c];
        m = m < 0 ? -1 : member_of(m);
        ((float*)(memory + WEIGHED_AT))[c] =
            m < 0 ? 0 : weight_of(asked, totals[2 * M + m], totals[3 * M + m]);
    }
    if (thread < M && totals[3 * M + thread] > 0)
        bias[2 * M + thread] += LN_2 * asked.comparison * asked.scale * totals[3 * M + thread] *
                                log2_of(totals[2 * M + thread]);
    meet();
}

// Sums up a program's blocks begin to end.
__device__ __forceinline__ void sum_slopes(const Batch& b, const Asked& asked, const Found& found,
                                           const float* known, const int* code, char* memory,
                                           u32 shared, int begin, int end) {
    int thread = threadIdx.x & (GROUP - 1);
    Gates gates = {shared + GATES_AT};
    int* column = (int*)(memory + COLUMNS_AT);
    number(column);
    meet();
    load_table<KC, CONTEXT, NT>(shared + TOLD_AT, TOLD_PART, b.told, PARTS * CONTEXT, column);
    seen_by_units();
    meet_all();  // finders wait for columns and contexts' weights
    int* held = found.held + 4 * blockIdx.x;
    float* bias = (float*)(memory + BIAS_AT);
    Sums sum;
    Run run = {-1, 0};
    if (begin < end) run = run_of(b, begin);
    if (thread < 4) held[thread] = found.apart && thread < 2 && begin < end ? run.p : 0;
    int finder = 0;
    u32 turn = 0;
    for (int block = begin; block < end; block++) {
        wait_at(gates.ready(finder), turn & 1);
        sum.add(shared + STAGES_AT + (2 * finder + (turn & 1)) * STAGE,
                shared + SLOPES_AT + finder * (2 * SLOPES_PART));
        finished();
        come_to(gates.freed(finder));
        if (block + 1 == end || block + 1 == run.end) {
            int p = run.p, from = b.blocks[p];
            bool whole = !found.apart && from >= begin && run.end <= end;
            long long slot = found.slot(blockIdx.x, p, from >= begin);
            total(found, asked, whole ? -1 : slot, p, block - max(begin, from), finder, turn,
                  memory, known, code);
            if (whole)
                sum.flush(found.table + (long long)b.first[p] * WIDE, b.count[p], column,
                          (const float*)(memory + WEIGHED_AT));
            else {
                sum.flush_piece(found.pieces + slot * (2 * ELEMENTS * WIDE),
                                found.told + slot * (PARTS * CONTEXT * WIDE), b.count[p], column);
                int range = found.apart || from < begin ? 0 : 2;
                if (thread == 0 && !found.apart) held[range] = p;
                if (thread == 0) held[range + 1] = p + 1;
            }
            if (block + 1 < end) advance(b, block + 1, run);
        }
        if (++finder == FINDERS) finder = 0, turn++;
    }
    sum.flush_told(found.contexts + (long long)blockIdx.x * (PARTS * CONTEXT * WIDE), column);
    if (thread < 2 * M) found.bias[blockIdx.x * (2 * M + 1) + thread] = bias[thread];
}
