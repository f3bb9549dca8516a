// Of each product the log mass of its rows (the level) and their clicks, for the comparison.

// Powers of 2: how far log-odds may lie above what masses are counted from, and where that begins.
constexpr float HIGHER = 60, LOWEST = -1e30f;

// Level parts of a product that several programs share: (2 grid, 3, M) peak, mass, clicks.
extern "C" __global__ void __launch_bounds__(THREADS, LEVELS_PROGRAMS)
    levels(Batch b, float* level, float* fell, float* parts) {
    extern __shared__ __align__(128) char memory[];
    u32 shared = shared_at(memory);
    int* column = (int*)(memory + COLUMNS_AT);
    float* sums = (float*)(memory + SUMS_AT);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int i = threadIdx.x; i < LEVELS_SHARED / 16; i += THREADS)
        store16(shared + i * 16, 0, 0, 0, 0);
    __syncthreads();
    for (int c = threadIdx.x; c < NS; c += THREADS)
        column[c] = click_column_of(2 * (c >> 3) + (c & 1), (c & 7) >> 1);
    __syncthreads();
    load_table(shared + TOLD_AT, TOLD_PART, b.told, KC, PARTS * CONTEXT, CONTEXT, NT, column);
    float peak[HALF], mass[HALF], clicks[HALF];  // peak in powers of 2, without the bias
    int begin = begins(b, blockIdx.x), end = begins(b, blockIdx.x + 1);
    if (begin == end) return;
    Copier copier(b, shared);
    Hot hot(shared);
    u32 matrix = Forward::rows_of(shared);
    Span now = span_of(b, begin, product_of(b, begin)), next = now, after;
    int place = copier.find(b, now), own = -1;
    copier.copy(place, 0);
    if (begin + 1 < end) {
        advance(b, begin + 1, next);
        place = copier.find(b, next);
    }
    for (int block = begin; block < end; block++) {
        int stage = (block - begin) & 1;
        if (now.p != own) {
            own = now.p;
            __syncthreads();
            load_table(shared + WINDOW_AT, WINDOW_PART, b.table + (long long)b.first[own] * WIDE,
                       KW, b.count[own], KW, N, column);
            seen_by_units();
            __syncthreads();
#pragma unroll
            for (int m = 0; m < HALF; m++) {
                peak[m] = LOWEST;
                mass[m] = clicks[m] = 0;
            }
        }
        copies_there();
        __syncwarp();
        hot.write(memory, stage);
        after = next;
        if (block + 1 < end) copier.copy(place, stage ^ 1);
        if (block + 2 < end) {
            advance(b, block + 2, after);
            place = copier.find(b, after);
        }
        Forward forward;
        forward.find(shared, matrix + stage * STAGE);
        float odds[HALF], higher[HALF], most = -1e30f;
        forward.clicks(odds);
        int r = warp * 16 + (lane >> 2) + (lane & 2) * 4;
        const float* row =
            (const float*)(memory + STAGES_AT + stage * STAGE + INFO_AT + r * (INFO * 16));
        const float* weight = row + 5 + (lane & 1) * HALF;
        float shown = r < now.rows ? fmaxf(row[1], 1e-9f) : 0.0f, final = row[3], happened = row[0];
#pragma unroll
        for (int m = 0; m < HALF; m++) {
            higher[m] = LOG2_E * odds[m] - peak[m];
            most = fmaxf(most, higher[m]);
        }
        if (most > HIGHER) {
#pragma unroll
            for (int m = 0; m < HALF; m++) {
                float top = fmaxf(peak[m], LOG2_E * odds[m]);
                mass[m] *= exp2_of(peak[m] - top);
                peak[m] = top;
                higher[m] = LOG2_E * odds[m] - top;
            }
        }
#pragma unroll
        for (int m = 0; m < HALF; m++) {
            float share = weight[m] * final;
            mass[m] += shown * fmaxf(share, 1e-9f) * exp2_of(higher[m]);
            clicks[m] += share * happened;
        }
        if (block + 1 == end || next.p != own) {
#pragma unroll
            for (int m = 0; m < HALF; m++) {
                float top = peak[m];
#pragma unroll
                for (int d = 2; d < 32; d *= 2) top = fmaxf(top, beside(top, d));
                float whole = mass[m] * exp2_of(peak[m] - top), fallen = clicks[m];
#pragma unroll
                for (int d = 2; d < 32; d *= 2) {
                    whole += beside(whole, d);
                    fallen += beside(fallen, d);
                }
                if (lane < 2 && lane * HALF + m < M) {
                    float* to = sums + warp * (3 * M) + lane * HALF + m;
                    to[0] = top;
                    to[M] = whole;
                    to[2 * M] = fallen;
                }
            }
            __syncthreads();
            if (threadIdx.x < M) {
                int m = threadIdx.x;
                float top = -1e30f, whole = 0, fallen = 0;
                for (int w = 0; w < 4; w++) top = fmaxf(top, sums[w * 3 * M + m]);
                for (int w = 0; w < 4; w++) {
                    whole += sums[w * 3 * M + M + m] * exp2_of(sums[w * 3 * M + m] - top);
                    fallen += sums[w * 3 * M + 2 * M + m];
                }
                top = LN_2 * top + b.bias[m];
                int from = b.blocks[own], to = b.blocks[own + 1];
                if (from >= begin && to <= end) {
                    level[(long long)own * ODDS + m] = logf(whole) + top;
                    fell[(long long)own * ODDS + m] = fallen;
                } else {
                    float* part = parts + (2 * blockIdx.x + (from >= begin)) * (3 * M) + m;
                    part[0] = top;
                    part[M] = whole;
                    part[2 * M] = fallen;
                }
            }
        }
        now = next;
        next = after;
    }
}

// Levels of products that several programs share, and of those without rows.
extern "C" __global__ void level(Batch b, float* level, float* fell, const float* parts) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < b.products * M;
         i += gridDim.x * blockDim.x) {
        int p = i / M, m = i % M, from = b.blocks[p], to = b.blocks[p + 1];
        float top = -1e30f, whole = 0, fallen = 0;
        if (from < to) {
            int c0 = owner(b, from), c1 = owner(b, to - 1);
            if (c0 == c1) continue;
            for (int c = c0; c <= c1; c++) {
                const float* part = parts + (2 * c + (c == c0)) * (3 * M) + m;
                float higher = fmaxf(top, part[0]);
                whole = whole * exp_of(top - higher) + part[M] * exp_of(part[0] - higher);
                fallen += part[2 * M];
                top = higher;
            }
        }
        level[(long long)p * ODDS + m] =
            whole > 0 ? logf(whole) + top : -__int_as_float(0x7f800000);
        fell[(long long)p * ODDS + m] = fallen;
    }
}
