// A batch's loss and its gradients in one pass over its rows.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    gradients(Batch b, Asked asked, Found found, const float* known, const int* code) {
    extern __shared__ __align__(128) char memory[];
    u32 shared = shared_at(memory);
    bool sums = threadIdx.x >= FINDERS * GROUP;
    for (int i = threadIdx.x; i < SHARED / 16; i += THREADS) store16(shared + i * 16, 0, 0, 0, 0);
    __syncthreads();
    if (threadIdx.x == 0) Gates{shared + GATES_AT}.set();
    int begin = begins(b, blockIdx.x), end = begins(b, blockIdx.x + 1);
    if (sums) {
        if (REGISTERS > 0) more_registers<REGISTERS>();
        sum_slopes(b, asked, found, known, code, memory, shared, begin, end);
    } else {
        if (REGISTERS > 0) fewer_registers<136>();
        find_slopes(b, asked, memory, shared, begin, end);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        float lost = 0;
        for (int i = 0; i < 4 * FINDERS; i++) lost += ((const float*)(memory + LOSSES_AT))[i];
        for (int m = 0; m < M; m++) lost += ((const float*)(memory + BIAS_AT))[2 * M + m];
        found.bias[blockIdx.x * (2 * M + 1) + 2 * M] = lost;
    }
}
