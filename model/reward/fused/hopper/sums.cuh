// Sums over programs, of products that several share and of those without rows: blocks (x, ELEMENTS
// / 8).
extern "C" __global__ void __launch_bounds__(256)
    together(Batch b, const float* part, const float* product_part, const float* known,
             const int* code, float* table_grad, float* product_grad) {
    for (int p = blockIdx.x; p < b.products; p += gridDim.x) {
        int from = b.blocks[p], to = b.blocks[p + 1], c0 = 0, c1 = -1;
        if (from < to) {
            c0 = owner(b, from);
            c1 = owner(b, to - 1);
            if (c0 == c1) continue;
        }
        int held = b.count[p];
        float* out = table_grad + (long long)b.first[p] * WIDE;
        for (int i = threadIdx.x; i < 8 * WIDE; i += blockDim.x) {
            int at = blockIdx.y * 8 * WIDE + i;
            if (at >= held * WIDE) continue;
            float sum = 0;
#pragma unroll 4
            for (int c = c0; c <= c1; c++)
                sum += part[(long long)(2 * c + (c == c0)) * (ELEMENTS * WIDE) + at];
            out[at] = sum;
        }
        if (blockIdx.y == 0 && threadIdx.x < 2 * M) {
            float sum = 0;
            for (int c = c0; c <= c1; c++)
                sum += product_part[(2 * c + (c == c0)) * (2 * M) + threadIdx.x];
            product_grad[(long long)code[p] * (2 * M) + threadIdx.x] = sum * known[p];
        }
    }
}

// Where a network holds weights of contexts (or their gradients): context and history (., 2 M),
// mixing
// (., M Q); the first `width` context columns are contexts, those behind them the history's.
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

// Sums over programs of contexts' weights (block x: a context column) and of bias and loss (the
// last).
extern "C" __global__ void __launch_bounds__(1024)
    spread(const float* told_part, const float* bias_part, int grid, Told to, float* bias_grad,
           float* loss) {
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
                        told_part[(c * (PARTS * CONTEXT) + part * CONTEXT + blockIdx.x) * WIDE + j];
        } else {
#pragma unroll 4
            for (int c = d; c < grid; c += deep) sum += bias_part[c * (2 * M + 1) + j];
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
