// What elements and contexts add to a block's rows.
struct Forward {
    float added[N / 2], told[NT / 2];

    __device__ __forceinline__ void find(u32 shared, int stage) {
        Matrix hot = cores(shared + HOT_AT + stage * HOT_PART, 1024, 128);
        Matrix context = cores(shared + CONTEXT_AT + stage * CONTEXT_PART, 1024, 128);
        Matrix window = cores(shared + WINDOW_AT, 128, KW * 16), weights = cores(shared + TOLD_AT, 128, KC * 16);
        arrive();
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
#pragma unroll
            for (int k = 0; k < KC / 16; k++)
                product_told<0>(told, context.at(k * 2048),
                                weights.at(half * TOLD_PART + k * 256), half + k > 0);
#pragma unroll
            for (int k = 0; k < KW / 16; k++)
                product_all<0>(added, hot.at(k * 2048),
                               window.at(half * WINDOW_PART + k * 256), half + k > 0);
        }
        commit();
        finished();
    }

    __device__ __forceinline__ float a(int g, int r) const { return added[(g >> 1) * 4 + r * 2 + (g & 1)]; }
    __device__ __forceinline__ float t(int g, int r) const { return told[(g >> 1) * 4 + r * 2 + (g & 1)]; }

    // The log-odds of row (lane & 2) / 2 * 8 of the quad's two, of a click (even lanes) or a
    // conversion (odd lanes).
    __device__ __forceinline__ void odds(float (&found)[M]) const {
        int lane = threadIdx.x & 31;
        bool low = !(lane & 2), click = !(lane & 1);
#pragma unroll
        for (int g = 0; g < TERMS; g++) {
            float x = a(g, 0) + t(g, 0), y = a(g, 1) + t(g, 1);
            float keep = low ? x : y, got = beside(low ? y : x, 2);
            found[2 * g] = low ? keep : got;
            if (2 * g + 1 < M) found[2 * g + 1] = low ? got : keep;
        }
#pragma unroll
        for (int m = 0; m < M; m++) {
            float x = 0, y = 0;
#pragma unroll
            for (int f = 0; f < FR; f++) {
                int g = FACTORS + m * FR + f;
                x += a(g, 0) * a(g, 0);
                y += a(g, 1) * a(g, 1);
            }
            x *= 0.5f;
            y *= 0.5f;
#pragma unroll
            for (int f = 0; f < FQ; f++) {
                int g = TERMS + m * FQ + f;
                x += a(g, 0) * t(g, 0);
                y += a(g, 1) * t(g, 1);
            }
            float part = (low ? x : y) + beside(low ? y : x, 2);
            part += beside(part, 1);
            if (click) found[m] += part;
        }
    }
};
