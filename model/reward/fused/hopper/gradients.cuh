// Gradients of a batch's loss, given each product's level.

// Partial sums of a product that several programs share: part (2 grid, KB 64, WIDE), product_part
// (2 grid, 2 M); told_part (grid, KB.. contexts, WIDE) and loss_part (grid) of each program.
extern "C" __global__ void __launch_bounds__(THREADS, GRADIENTS_PROGRAMS)
gradients(
    Batch b, const float* level, const float* fell, const float* known, const int* code, float converts,
    float comparison, float scale, float* table_grad, float* part, float* product_grad,
    float* product_part, float* told_part, float* bias_part) {
    extern __shared__ __align__(128) char memory[];
    u32 shared = shared_at(memory);
    int* column = (int*)(memory + COLUMNS_AT);
    float* sums = (float*)(memory + SUMS_AT);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    bool click = !(lane & 1);
    for (int i = threadIdx.x; i < GRADIENTS_SHARED / 16; i += THREADS) store16(shared + i * 16, 0, 0, 0, 0);
    __syncthreads();
    for (int i = threadIdx.x; i < N; i += THREADS) column[i] = column_of(i);
    __syncthreads();
    load_table(shared + TOLD_AT, TOLD_PART, b.told, KC, PARTS * CONTEXT, CONTEXT, NT, column);
    float whole_scale = scale * (click ? 1.0f - comparison : 1.0f);
    float bias[M], own_term[M], top[M], fallen[M], product[M], every = 0, lost = 0;
#pragma unroll
    for (int m = 0; m < M; m++) bias[m] = b.bias[click ? m : M + m];
    Sums found;
#pragma unroll
    for (int i = 0; i < NT / 2; i++) found.told[i] = 0;
    Copier copier;
    Hot hot;
    int places[ITEMS];
    int begin = begins(b, blockIdx.x), end = begins(b, blockIdx.x + 1);
    Span now = {0, 0, 0}, next = now;
    if (begin < end) {
        now = next = span_of(b, begin, product_of(b, begin));
        copier.find(b, now, places);
        copier.copy(b, places, shared, 0);
    }
    if (begin + 1 < end) {
        next = span_of(b, begin + 1, now.p);
        copier.find(b, next, places);
    }
    int own = -1;
    bool more = false;
    for (int block = begin; block < end; block++) {
        int side = (block - begin) & 1;
        if (now.p != own) {
            own = now.p;
            more = false;
            __syncthreads();
            load_table(shared + WINDOW_AT, WINDOW_PART, b.table + (long long)b.first[own] * WIDE,
                       KW, b.count[own], KW, N, column);
#pragma unroll
            for (int m = 0; m < M; m++) {
                long long at = (long long)own * ODDS + m;
                own_term[m] = b.product[click ? at : at + M];
                top[m] = click ? level[at] : 0.0f;
                fallen[m] = click ? fell[at] * comparison * scale : 0.0f;
                product[m] = 0;
            }
        }
        copies_there();
        __syncwarp();
        const char* info = memory + INFO_AT + side * INFO_PART;
        if (side) hot.write<1>(shared, info, now.rows); else hot.write<0>(shared, info, now.rows);
        finished();
        seen_by_units();
        __syncthreads();
        Span after = next;
        if (block + 1 < end) {
            copier.copy(b, places, shared, side ^ 1);
            if (block + 2 < end) {
                after = span_of(b, block + 2, next.p);
                copier.find(b, after, places);
            }
        }
        u32 hot_at = shared + HOT_AT + side * HOT_PART;
        u32 context_at = shared + CONTEXT_AT + side * CONTEXT_PART;
        Forward forward;
        forward.find(hot_at, context_at, shared + WINDOW_AT, shared + TOLD_AT);
        float slope[M];
        forward.odds(slope);
        int r = warp * 16 + (lane >> 2) + (lane & 2) * 4;
        const float* row = (const float*)(info + r * (INFO * 16));
        bool there = r < now.rows, compared = there && click;
        float events = click ? row[0] : row[2], trials = click ? row[1] : row[0];
        float final = click ? row[3] : row[4] * converts;
        float against = compared ? comparison * scale : 0.0f, shown = fmaxf(trials, 1e-9f);
#pragma unroll
        for (int m = 0; m < M; m++) {
            float z = slope[m] + bias[m], whole = z + own_term[m], share = row[5 + m] * final;
            float small = exp_of(-fabsf(whole)), part_of = over(1.0f + small);
            float chance = whole >= 0 ? part_of : small * part_of;
            float soft = fmaxf(whole, 0.0f) + 0.6931471805599453f * log2_of(1.0f + small);
            float scaled = share * whole_scale;
            float down = scaled * (trials * chance - events);
            lost += scaled * (trials * soft - events * whole);
            float apart = compared ? z - top[m] : 0.0f, counted = share * events * against;
            float exposed = (compared ? fallen[m] : 0.0f) * shown * fmaxf(share, 1e-9f);
            lost -= counted * apart;
            product[m] += down;
            slope[m] = down + exposed * exp_of(apart) - counted;
        }
        Slopes slopes(slope);
        store(shared + GRAD_AT, slopes, forward);
        seen_by_units();
        __syncthreads();
        found.add(hot_at, context_at, shared + GRAD_AT, more, block > begin);
        more = true;
        if (block + 1 == end || next.p != own) {
            finished();
            int from = b.blocks[own], to = b.blocks[own + 1], held = b.count[own];
            bool whole = from >= begin && to <= end;
            int slot = 2 * blockIdx.x + (from >= begin);
            float* out = whole ? table_grad + (long long)b.first[own] * WIDE : part + (long long)slot * (KB * 64 * WIDE);
#pragma unroll
            for (int e = 0; e < KB; e++) {
#pragma unroll
                for (int i = 0; i < N / 2; i++) {
                    int k = e * 64 + warp * 16 + (lane >> 2) + (i & 2) * 4;
                    int j = column[(i >> 2) * 8 + (lane & 3) * 2 + (i & 1)];
                    if (k < held && j >= 0) out[k * WIDE + j] = found.own[e][i];
                }
            }
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
                every += sum;
                if (whole) product_grad[(long long)code[own] * (2 * M) + o] = sum * known[own];
                else product_part[slot * (2 * M) + o] = sum;
            }
        }
        now = next;
        next = after;
    }
    finished();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < NT / 2; i++) {
        int c = warp * 16 + (lane >> 2) + (i & 2) * 4;
        int j = column[(i >> 2) * 8 + (lane & 3) * 2 + (i & 1)];
        if (c < PARTS * CONTEXT && j >= 0) told_part[(blockIdx.x * (PARTS * CONTEXT) + c) * WIDE + j] = found.told[i];
    }
#pragma unroll
    for (int d = 1; d < 32; d *= 2) lost += beside(lost, d);
    if (lane == 0) sums[warp] = lost;
    __syncthreads();
    if (threadIdx.x < 2 * M) bias_part[blockIdx.x * (2 * M + 1) + threadIdx.x] = every;
    if (threadIdx.x == 2 * M) bias_part[blockIdx.x * (2 * M + 1) + 2 * M] = sums[0] + sums[1] + sums[2] + sums[3];
}
