// What pieces of products make together, when a pass over rows is done.

// Of products in pieces their masses and clicks (products, 2 M), 0 of all others, and which
// programs hold them: the first and the last, none of products that are whole, the last before the
// first of products without rows.
constexpr int WHOLE = -1;

extern "C" __global__ void settle(Batch b, Found found, float* settled, int2* holders) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < b.products * M;
         i += gridDim.x * blockDim.x) {
        int p = i / M, m = i % M, from = b.blocks[p], to = b.blocks[p + 1];
        int2 held = {1, 0};
        float mass = 0, fell = 0;
        if (from < to) {
            held = {owner(b, from), owner(b, to - 1)};
            if (held.x == held.y && !found.apart) held = {WHOLE, WHOLE};
        }
        for (int c = held.x; c <= held.y && held.x != WHOLE; c++) {
            const float* totals = found.totals + found.slot(c, p, c == held.x) * SUMS + m;
            mass += totals[2 * M];
            fell += totals[3 * M];
        }
        settled[p * (2 * M) + m] = mass;
        settled[p * (2 * M) + M + m] = fell;
        if (m == 0) holders[p] = held;
    }
}

// The weight of B in a column of a settled product.
__device__ __forceinline__ float settled_weight(const Asked& asked, const float* settled, int p,
                                                int j) {
    int m = member_of(j);
    if (m < 0) return 0;
    return weight_of(asked, settled[p * (2 * M) + m], settled[p * (2 * M) + M + m]);
}

// Gradients of products in pieces and of those without rows: blocks (x, ELEMENTS / 8).
extern "C" __global__ void __launch_bounds__(256)
    together(Batch b, Asked asked, Found found, const float* settled, const int2* holders,
             const float* known, const int* code) {
    for (int p = blockIdx.x; p < b.products; p += gridDim.x) {
        int2 by = holders[p];
        if (by.x == WHOLE) continue;
        int held = b.count[p];
        float* out = found.table + (long long)b.first[p] * WIDE;
        for (int i = threadIdx.x; i < 8 * WIDE; i += blockDim.x) {
            int at = blockIdx.y * 8 * WIDE + i, j = i % WIDE;
            if (at >= held * WIDE) continue;
            float a = 0, weighed = 0;
#pragma unroll 4
            for (int c = by.x; c <= by.y; c++) {
                const float* piece =
                    found.pieces + found.slot(c, p, c == by.x) * (2 * ELEMENTS * WIDE) + at;
                a += piece[0];
                weighed += piece[ELEMENTS * WIDE];
            }
            out[at] = a + settled_weight(asked, settled, p, j) * weighed;
        }
        if (blockIdx.y == 0 && threadIdx.x < 2 * M) {
            float sum = 0;
            for (int c = by.x; c <= by.y; c++)
                sum += found.totals[found.slot(c, p, c == by.x) * SUMS + threadIdx.x];
            found.product[(long long)code[p] * (2 * M) + threadIdx.x] = sum * known[p];
        }
    }
}

// Where a network holds weights of contexts (or their gradients): context and history (., 2 M),
// mixing (., M Q); the first `width` context columns are contexts, those behind them the history's.
struct Told {
    float* context;
    float* mixing;
    float* history;
    int width;

    // Of context column c and column j of the table, null: none.
    __device__ __forceinline__ float* at(int c, int j) const {
        if (j < 2 * M)
            return c < width ? context + c * (2 * M) + j : history + (c - width) * (2 * M) + j;
        int f = j - 2 * M - M * R;
        return f >= 0 && f < M * Q && c < width ? mixing + c * (M * Q) + f : nullptr;
    }
};

// Adds what a program's pieces owe its sums of contexts, and its loss: blocks (program, some rows).
// Between two products there may be some without rows.
extern "C" __global__ void __launch_bounds__(256)
    weigh(Asked asked, Found found, const float* settled, const int2* holders) {
    int c = blockIdx.x, i = blockIdx.y * blockDim.x + threadIdx.x;
    int4 held = ((const int4*)found.held)[c];
    int first = held.y - held.x, all = first + held.w - held.z;
    if (i < PARTS * CONTEXT * WIDE) {
        float sum = 0;
#pragma unroll 2
        for (int piece = 0; piece < all; piece++) {
            int p = piece < first ? held.x + piece : held.z + piece - first;
            if (holders[p].y < holders[p].x) continue;
            sum += settled_weight(asked, settled, p, i % WIDE) *
                   found.told[found.slot(c, p, piece >= first) * (PARTS * CONTEXT * WIDE) + i];
        }
        if (all > 0) found.contexts[c * (PARTS * CONTEXT * WIDE) + i] += sum;
    }
    if (i >= 32) return;
    float lost = 0;
    for (int piece = 0; piece < all && i < M; piece++) {
        int p = piece < first ? held.x + piece : held.z + piece - first;
        if (holders[p].y < holders[p].x) continue;
        float fell = found.totals[found.slot(c, p, piece >= first) * SUMS + 3 * M + i];
        if (fell > 0) lost += fell * log2_of(settled[p * (2 * M) + i]);
    }
#pragma unroll
    for (int d = 1; d < 32; d *= 2) lost += beside(lost, d);
    if (i == 0) found.bias[c * (2 * M + 1) + 2 * M] += LN_2 * asked.comparison * asked.scale * lost;
}

// Sums over programs of contexts' weights (block x: a context column) and of bias and loss (the
// last).
extern "C" __global__ void __launch_bounds__(1024)
    spread(Found found, int grid, Told to, float* bias_grad, float* loss) {
    extern __shared__ __align__(128) char memory[];
    float* sums = (float*)memory;
    int across = blockIdx.x < CONTEXT ? WIDE : 2 * M + 1, deep = 1024 / across;
    int j = threadIdx.x % across, d = threadIdx.x / across;
    float sum = 0;
    if (d < deep) {
        if (blockIdx.x < CONTEXT) {
            for (int part = 0; part < PARTS; part++)
#pragma unroll 4
                for (int c = d; c < grid; c += deep)
                    sum +=
                        found
                            .contexts[(c * (PARTS * CONTEXT) + part * CONTEXT + blockIdx.x) * WIDE +
                                      j];
        } else {
#pragma unroll 4
            for (int c = d; c < grid; c += deep) sum += found.bias[c * (2 * M + 1) + j];
        }
        sums[d * across + j] = sum;
    }
    __syncthreads();
    if (threadIdx.x < across) {
        sum = 0;
        for (int i = 0; i < deep; i++) sum += sums[i * across + threadIdx.x];
        if (blockIdx.x < CONTEXT) {
            float* place = to.at(blockIdx.x, threadIdx.x);
            if (place) *place = sum;
        } else if (threadIdx.x < 2 * M)
            bias_grad[threadIdx.x] = sum;
        else
            loss[0] = sum;
    }
}

// Weights of contexts (CONTEXT, WIDE), bias (ODDS) and products (products, ODDS) as rows read them.
extern "C" __global__ void tell(Told from, const float* bias, const float* product, const int* code,
                                const float* known, int products, float* told_out, float* bias_out,
                                float* product_out) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < max(products * ODDS, CONTEXT * WIDE);
         i += gridDim.x * blockDim.x) {
        if (i < CONTEXT * WIDE) {
            const float* place = from.at(i / WIDE, i % WIDE);
            told_out[i] = place ? *place : 0.0f;
        }
        if (i < 2 * M) bias_out[i] = bias[i];
        int p = i / ODDS, o = i % ODDS;
        if (p < products && o < 2 * M)
            product_out[i] = product[(long long)code[p] * (2 * M) + o] * known[p];
    }
}
