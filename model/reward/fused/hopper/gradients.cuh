// Gradients of a batch's loss, given each product's level.

// A bound in powers of 2 that no real row meets, against infinities: log-odds lie above -80, and a
// row at most 41 over its level, as masses are counted from 1e-18.
constexpr float MOST = 115, NEVER = -1e30f;

// Partial sums of a product that several programs share: part (2 grid, ELEMENTS, WIDE),
// product_part (2 grid, 2 M); told_part (grid, PARTS CONTEXT, WIDE) and bias_part (grid, 2 M + 1),
// the loss last, of each program.
extern "C" __global__ void __launch_bounds__(THREADS, GRADIENTS_PROGRAMS)
    gradients(Batch b, const float* level, const float* fell, const float* known, const int* code,
              float converts, float comparison, float scale, float* table_grad, float* part,
              float* product_grad, float* product_part, float* told_part, float* bias_part) {
    extern __shared__ __align__(128) char memory[];
    u32 shared = shared_at(memory);
    int* column = (int*)(memory + COLUMNS_AT);
    float* sums = (float*)(memory + SUMS_AT);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    bool click = !(lane & 1);
    for (int i = threadIdx.x; i < GRADIENTS_SHARED / 16; i += THREADS)
        store16(shared + i * 16, 0, 0, 0, 0);
    __syncthreads();
    number(column);
    __syncthreads();
    load_table(shared + TOLD_AT, TOLD_PART, b.told, KC, PARTS * CONTEXT, CONTEXT, NT, column);
    float whole_scale = scale * (click ? 1.0f - comparison : 1.0f);
    float weighed = click ? comparison * scale : 0.0f;
    float own_term[M], top[M], fallen[M], product[M], all = 0, lost = 0, apart_lost = 0;
    Sums found;
#pragma unroll
    for (int i = 0; i < TILES * (NS / 2); i++) found.sum[i / (NS / 2)][i % (NS / 2)] = 0;
    Copier copier(b, shared);
    Hot hot(shared);
    u32 matrix = Forward::rows_of(shared);
    int begin = begins(b, blockIdx.x), end = begins(b, blockIdx.x + 1), own = -1, place = -1;
    Span now = {}, next = {}, after;
    if (begin < end) {
        now = next = span_of(b, begin, product_of(b, begin));
        copier.copy(copier.find(b, now), 0);
    }
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
            for (int m = 0; m < M; m++) {
                long long at = (long long)own * ODDS + m;
                float bias = b.bias[click ? m : M + m];
                own_term[m] = -LOG2_E * (bias + b.product[click ? at : at + M]);
                top[m] = click ? LOG2_E * (bias - level[at]) : NEVER;
                fallen[m] = click ? fell[at] * comparison * scale : 0.0f;
                product[m] = 0;
            }
        }
        copies_there();
        __syncwarp();
        hot.write(memory, stage);
        Forward forward;
        forward.find(shared, matrix + stage * STAGE);
        float slope[M];
        forward.odds(slope);
        int r = warp * 16 + (lane >> 2) + (lane & 2) * 4;
        float row[up(5 + M, 4)];
        load_row(row, memory + STAGES_AT + stage * STAGE + INFO_AT + r * (INFO * 16));
        float events = click ? row[0] : row[2], trials = click ? row[1] : row[0];
        float final = click ? row[3] : row[4] * converts;
        float shown = r < now.rows ? fmaxf(trials, 1e-9f) : 0.0f, against = events * weighed;
#pragma unroll
        for (int m = 0; m < M; m++) {
            // In powers of 2: u less the log-odds, a the row over its level.
            float u = fminf(own_term[m] - LOG2_E * slope[m], MOST);
            float a = fminf(top[m] + LOG2_E * slope[m], MOST);
            float rest = 1.0f + exp2_of(u), share = row[5 + m] * final;
            float off = trials * over(rest) - events;
            lost += share * (trials * (log2_of(rest) - u) + events * u);
            apart_lost += share * events * a;
            product[m] += share * off;
            slope[m] = share * (whole_scale * off - against) +
                       fallen[m] * shown * fmaxf(share, 1e-9f) * exp2_of(a);
        }
        Slopes slopes(slope);
        __syncthreads();  // the other stage and the slopes before were read
        after = next;
        if (block + 1 < end) copier.copy(place, stage ^ 1);
        if (block + 2 < end) {
            advance(b, block + 2, after);
            place = copier.find(b, after);
        }
        store(shared + LEVELS_SHARED, slopes, forward);
        seen_by_units();
        __syncthreads();
        found.add(shared + STAGES_AT + stage * STAGE, shared + LEVELS_SHARED);
        if (block + 1 == end || next.p != own) {
            finished();
            int from = b.blocks[own], to = b.blocks[own + 1],
                slot = 2 * blockIdx.x + (from >= begin);
            bool whole = from >= begin && to <= end;
            found.flush(whole ? table_grad + (long long)b.first[own] * WIDE
                              : part + (long long)slot * (ELEMENTS * WIDE),
                        b.count[own], column);
#pragma unroll
            for (int m = 0; m < M; m++) {
                float sum = product[m];
#pragma unroll
                for (int d = 2; d < 32; d *= 2) sum += beside(sum, d);
                if (lane < 2) sums[warp * (2 * M) + lane * M + m] = sum;
            }
            __syncthreads();
            if (threadIdx.x < 2 * M) {
                int o = threadIdx.x;
                float sum = 0;
                for (int w = 0; w < 4; w++) sum += sums[w * (2 * M) + o];
                sum *= scale * (o < M ? 1.0f - comparison : 1.0f);
                all += sum;
                if (whole)
                    product_grad[(long long)code[own] * (2 * M) + o] = sum * known[own];
                else
                    product_part[slot * (2 * M) + o] = sum;
            }
        }
        now = next;
        next = after;
    }
    found.flush_told(told_part + (long long)blockIdx.x * (PARTS * CONTEXT * WIDE), column);
    __syncthreads();
    lost = LN_2 * (whole_scale * lost - weighed * apart_lost);
#pragma unroll
    for (int d = 1; d < 32; d *= 2) lost += beside(lost, d);
    if (lane == 0) sums[warp] = lost;
    __syncthreads();
    if (threadIdx.x < 2 * M) bias_part[blockIdx.x * (2 * M + 1) + threadIdx.x] = all;
    if (threadIdx.x == 2 * M)
        bias_part[blockIdx.x * (2 * M + 1) + 2 * M] = sums[0] + sums[1] + sums[2] + sums[3];
}
