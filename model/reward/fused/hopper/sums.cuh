// Sums over programs, of products that several share and of those without rows: blocks (x, KB 4).
extern "C" __global__ void __launch_bounds__(256) together(
    Batch b, const float* part, const float* product_part, const float* known, const int* code,
    float* table_grad, float* product_grad) {
    for (int p = blockIdx.x; p < b.products; p += gridDim.x) {
        int from = b.blocks[p], to = b.blocks[p + 1], c0 = 0, c1 = -1;
        if (from < to) {
            c0 = owner(b, from);
            c1 = owner(b, to - 1);
            if (c0 == c1) continue;
        }
        int held = b.count[p];
        float* out = table_grad + (long long)b.first[p] * WIDE;
        for (int i = threadIdx.x; i < 16 * WIDE; i += blockDim.x) {
            int at = blockIdx.y * 16 * WIDE + i;
            if (at >= held * WIDE) continue;
            float sum = 0;
#pragma unroll 4
            for (int c = c0; c <= c1; c++) sum += part[(long long)(2 * c + (c == c0)) * (KB * 64 * WIDE) + at];
            out[at] = sum;
        }
        if (blockIdx.y == 0 && threadIdx.x < 2 * M) {
            float sum = 0;
            for (int c = c0; c <= c1; c++) sum += product_part[(2 * c + (c == c0)) * (2 * M) + threadIdx.x];
            product_grad[(long long)code[p] * (2 * M) + threadIdx.x] = sum * known[p];
        }
    }
}

// Sums over programs of contexts' weights (block x: a context column) and of bias and loss (the last).
extern "C" __global__ void __launch_bounds__(1024) every(
    const float* told_part, const float* bias_part, int grid, float* told_grad, float* bias_grad, float* loss) {
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
                    sum += told_part[(c * (PARTS * CONTEXT) + part * CONTEXT + blockIdx.x) * WIDE + j];
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
        if (blockIdx.x < CONTEXT) told_grad[blockIdx.x * WIDE + threadIdx.x] = sum;
        else if (threadIdx.x < 2 * M) bias_grad[threadIdx.x] = sum;
        else loss[0] = sum;
    }
}
