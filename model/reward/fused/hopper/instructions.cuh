// Hopper's instructions that the row kernels use.

__device__ __forceinline__ u32 shared_at(const void* p) {
    u32 found;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(found) : "l"(p));
    return found;
}

// A matrix of cores as the matrix units are told of it.
struct Matrix {
    u32 low, high;
    __device__ __forceinline__ Matrix at(u32 bytes) const { return {low + (bytes >> 4), high}; }
};

// `lead` and `stride` bytes lie between cores.
__device__ __forceinline__ Matrix cores(u32 at, u32 lead, u32 stride) {
    return {(at >> 4) | ((lead >> 4) << 16), stride >> 4};
}

__device__ __forceinline__ void arrive() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void finished() {
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}
__device__ __forceinline__ void seen_by_units() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
// What is not there is 0, and nothing is read.
__device__ __forceinline__ void copy16(u32 to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copies_end() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
__device__ __forceinline__ void copies_there() {
    asm volatile("cp.async.wait_group 0;" ::: "memory");
}

// The threads of the warpgroup meet.
__device__ __forceinline__ void meet() {
    asm volatile("bar.sync %0, 128;" ::"r"(1 + threadIdx.x / GROUP) : "memory");
}

// All threads of the program meet, wherever each warpgroup is.
__device__ __forceinline__ void meet_all() {
    asm volatile("bar.sync 15, %0;" ::"n"(THREADS) : "memory");
}

// A gate (mbarrier): opens each time that so many have come to it.
__device__ __forceinline__ void gate_of(u32 gate, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(gate), "r"(count) : "memory");
}
// Of each of four warps, whose lanes have all done what comes before.
__device__ __forceinline__ void come_to(u32 gate) {
    __syncwarp();
    if ((threadIdx.x & 31) == 0)
        asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(gate) : "memory");
}
// Waits until the gate has opened an odd number of times (parity 0) or an even one, but 0 (1).
__device__ __forceinline__ void wait_at(u32 gate, u32 parity) {
    asm volatile(
        "{ .reg .pred p; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra OPEN; "
        "bra AGAIN; OPEN: }" ::"r"(gate),
        "r"(parity)
        : "memory");
}

// Registers of each thread of a warpgroup from now on.
template <int count>
__device__ __forceinline__ void fewer_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ __forceinline__ void more_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

__device__ __forceinline__ float exp2_of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float log2_of(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float over(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float exp_of(float x) { return exp2_of(x * LOG2_E); }
template <class T>
__device__ __forceinline__ T from(T x, int lane) {
    return __shfl_sync(0xffffffffu, x, lane);
}
__device__ __forceinline__ float beside(float x, int mask) {
    return __shfl_xor_sync(0xffffffffu, x, mask);
}

// Two floats as bf16 in one word, a in the low half.
__device__ __forceinline__ u32 halves(float a, float b) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(b), "f"(a));
    return both;
}
// The same; what is left of both goes to `rest`.
__device__ __forceinline__ u32 halves(float a, float b, u32& rest) {
    u32 high = halves(a, b);
    rest = halves(a - __uint_as_float(high << 16), b - __uint_as_float(high & 0xffff0000u));
    return high;
}

__device__ __forceinline__ void store4(u32 to, u32 a, u32 b, u32 c, u32 d) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
                 "r"(a), "r"(b), "r"(c), "r"(d)
                 : "memory");
}
__device__ __forceinline__ void store1(u32 to, u32 a) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(to), "r"(a)
                 : "memory");
}
// Four cores, of which each lane says where a row lies.
__device__ __forceinline__ void load4(u32 (&a)[4], u32 at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
                 : "r"(at)
                 : "memory");
}
__device__ __forceinline__ void store_short(u32 to, u16 x) {
    asm volatile("st.shared.b16 [%0], %1;" ::"r"(to), "h"(x) : "memory");
}
__device__ __forceinline__ u32 load_word(u32 at) {
    u32 found;
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(found) : "r"(at) : "memory");
    return found;
}
__device__ __forceinline__ void store16(u32 to, u32 a, u32 b, u32 c, u32 d) {
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(a), "r"(b), "r"(c),
                 "r"(d)
                 : "memory");
}
