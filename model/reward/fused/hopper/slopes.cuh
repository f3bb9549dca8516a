// Slopes of a block's log-odds, found by the warpgroups that take blocks in turn.

// The slopes of a quad's two rows in terms: own: those of the thread's row and head.
__device__ __forceinline__ void spread_terms(float (&term)[2][TERMS], const float (&own)[M]) {
    bool low = !(threadIdx.x & 2);
#pragma unroll
    for (int g = 0; g < TERMS; g++) {
        float one = own[2 * g], other = 2 * g + 1 < M ? own[2 * g + 1 < M ? 2 * g + 1 : 0] : 0;
        float keep = low ? one : other, got = beside(low ? other : one, 2);
        term[0][g] = low ? keep : got;
        term[1][g] = low ? got : keep;
    }
}

// The slope of row r of the quad's two in a column group; click: those of the row's clicks.
__device__ __forceinline__ float slope_of(const Forward& forward, const float (&term)[TERMS],
                                          const float (&click)[M], int g, int r) {
    constexpr int of_factor = FQ > 0 ? FQ : 1, of_pair = FR > 0 ? FR : 1;
    if (g < TERMS) return term[g < TERMS ? g : 0];
    if (g < FACTORS) return click[(g - TERMS) / of_factor] * forward.t(g, r);
    if (g < PAIRS) return click[(g - FACTORS) / of_pair] * forward.a(g, r);
    if (g < TOLD) return click[(g - PAIRS) / of_factor] * forward.a(g - PAIRS + TERMS, r);
    return 0.0f;
}

// Slopes of a block's rows, of one number each, to shared memory as bf16.
__device__ __forceinline__ void store_slopes(u32 to, const float (&own)[M],
                                             const Forward& forward) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
    u32 row = to + 2 * warp * 128 + (lane & 7) * 16, at = row + (lane >> 3) * 1024;
    float term[2][TERMS];
    spread_terms(term, own);
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float click[M];
#pragma unroll
        for (int m = 0; m < M; m++) click[m] = from(own[m], (lane & ~3) + 2 * r);
#pragma unroll
        for (int n = 0; n < NS / 8; n += 4) {
            u32 both[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                both[i] = halves(slope_of(forward, term[r], click, 2 * (n + i), r),
                                 slope_of(forward, term[r], click, 2 * (n + i) + 1, r));
            if (n + 3 < NS / 8)
                store4(at + r * 128 + n * 1024, both[0], both[1], both[2], both[3]);
            else {
#pragma unroll
                for (int i = 0; i < NS / 8 - n; i++)
                    store1(row + r * 128 + (n + i) * 1024, both[i]);
            }
        }
    }
}

// Gates of a program: a finder's slopes and rows are there (`ready`), were summed up (`freed`).
struct Gates {
    u32 at;
    __device__ __forceinline__ u32 ready(int finder) const { return at + 16 * finder; }
    __device__ __forceinline__ u32 freed(int finder) const { return at + 16 * finder + 8; }
    __device__ __forceinline__ void set() const {
        for (int i = 0; i < 2 * FINDERS; i++) gate_of(at + 8 * i, 4);
    }
};

// How losses are weighed.
struct Asked {
    float converts, comparison, scale;
};

// Finds the slopes of a program's blocks begin + finder, and on by FINDERS: A, of the likelihood
// and of clicks in the comparison; B, a row's part of its product's mass, whose weight is known
// when the product ends.
__device__ __forceinline__ void find_slopes(const Batch& b, const Asked& asked, char* memory,
                                            u32 shared, int begin, int end) {
    int finder = from((int)threadIdx.x / GROUP, 0), lane = threadIdx.x & 31,
        warp = threadIdx.x >> 5 & 3;
    bool click = !(lane & 1);
    Gates gates = {shared + GATES_AT};
    const int* column = (const int*)(memory + COLUMNS_AT);
    float* sums = (float*)(memory + SUMS_AT) + (finder * 8 + warp) * SUMS;
    float* own_terms = (float*)(memory + OWN_AT) + finder * (2 * up(M, 4));
    u32 window = shared + WINDOWS_AT + finder * (2 * WINDOW_PART),
        to = shared + SLOPES_AT + finder * (2 * SLOPES_PART),
        stages = shared + STAGES_AT + finder * (2 * STAGE), matrix = Forward::rows_of(stages);
    const char* rows = memory + STAGES_AT + finder * (2 * STAGE) + INFO_AT +
                       (warp * 16 + (lane >> 2) + (lane & 2) * 4) * (INFO * 16);
    float whole_scale = asked.scale * (click ? 1.0f - asked.comparison : asked.converts),
          weighed = click ? asked.comparison * asked.scale : 0.0f, lost = 0;
    // Of a product, by row and head: sums of slopes; of masses in lanes of clicks, of clicks in
    // others.
    float product[M], apart[M];
    Copier copier(stages);
    Ones ones(stages);
    Ones::Places before;
    int own = -1;
    u32 turn = 0;
    Run run = {-1, 0};
    if (begin + finder < end) {
        run = run_of(b, begin + finder);
        copier.seek(b, run, begin + finder);
        copier.copy(b, 0);
        copies_end();
    }
    meet_all();  // columns and contexts' weights are there
    for (int block = begin + finder; block < end; block += FINDERS) {
        if (run.p != own) {
            own = run.p;
            meet();
            load_table<KW, KW, N>(window, WINDOW_PART, b.table + (long long)b.first[own] * WIDE,
                                  b.count[own], column);
            int o = threadIdx.x & (GROUP - 1);
            if (o < 2 * M)
                own_terms[o % M + o / M * up(M, 4)] =
                    -LOG2_E * (b.bias[o] + b.product[(long long)own * ODDS + o]);
            seen_by_units();
            meet();
#pragma unroll
            for (int m = 0; m < M; m++) product[m] = apart[m] = 0;
        }
        int stage = turn & 1 ? STAGE : 0, next = block + FINDERS;
        bool last = next >= end || next >= run.end;
        if (!last)
            copier.go(b, FINDERS);
        else if (next < end) {
            advance(b, next, run);
            copier.seek(b, run, next);
        }
        copies_there();
        __syncwarp();
        Ones::Places places = ones.places(stage);
        ones.write(stage, places, 0x3F80);
        __syncwarp();
        Forward forward;
        forward.find(window, shared + TOLD_AT, matrix + stage);
        float slope[M], mass[M];
        forward.odds(slope);
        float row[up(5 + M, 4)];
        load_row(row, rows + stage);
        float own_term[up(M, 4)];
        load_row(own_term, (const char*)(own_terms + (click ? 0 : up(M, 4))));
        float events = click ? row[0] : row[2], trials = click ? row[1] : row[0],
              whole = whole_scale * (click ? row[3] : row[4]), counted = row[0] * row[3],
              exposed = click ? fmaxf(row[1], 1e-9f) * row[3] : 0.0f, fell = click ? 0.0f : counted;
        counted *= weighed;
#pragma unroll
        for (int m = 0; m < M; m++) {
            // In powers of 2: u less the log-odds.
            float odds = LOG2_E * slope[m], u = own_term[m] - odds, rest = 1.0f + exp2_of(u);
            float share = row[5 + m] * whole, off = share * (trials * over(rest) - events),
                  within = row[5 + m] * counted;
            lost += share * (trials * (log2_of(rest) - u) + events * u);
            lost -= within * odds;
            product[m] += off;
            mass[m] = row[5 + m] * exposed * exp2_of(odds);
            apart[m] += mass[m];
            apart[m] += row[5 + m] * fell;
            slope[m] = off - within;
        }
        if (last) {
#pragma unroll
            for (int m = 0; m < M; m++) {
                float one = product[m], other = apart[m];
#pragma unroll
                for (int d = 2; d < 32; d *= 2) one += beside(one, d), other += beside(other, d);
                if (lane < 2) {
                    float* mine = sums + (turn & 1) * (4 * SUMS) + lane * M + m;
                    mine[0] = one;
                    mine[2 * M] = other;
                }
            }
        }
        if (turn > 0) {
            wait_at(gates.freed(finder), (turn - 1) & 1);
            ones.write(STAGE - stage, before, 0);
            __syncwarp();
        }
        before = places;
        if (next < end) copier.copy(b, STAGE - stage);
        copies_end();
        store_slopes(to, slope, forward);
        store_slopes(to + SLOPES_PART, mass, forward);
        seen_by_units();
        come_to(gates.ready(finder));
        turn++;
    }
    lost *= LN_2;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) lost += beside(lost, d);
    if (lane == 0) ((float*)(memory + LOSSES_AT))[threadIdx.x >> 5] = lost;
}
