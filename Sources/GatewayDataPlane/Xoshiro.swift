/// Fast random bits for identifiers and weighted picks, seeded from the system's generator. Not for secrets.
/// (xoshiro256++ by Blackman and Vigna.)
struct Xoshiro: RandomNumberGenerator {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init() {
        var system = SystemRandomNumberGenerator()
        self.state = (system.next(), system.next(), system.next(), system.next() | 1)
    }

    @inline(__always)
    mutating func next() -> UInt64 {
        let sum = self.state.0 &+ self.state.3
        let result = (sum << 23 | sum >> 41) &+ self.state.0
        let shifted = self.state.1 << 17
        self.state.2 ^= self.state.0
        self.state.3 ^= self.state.1
        self.state.1 ^= self.state.2
        self.state.0 ^= self.state.3
        self.state.2 ^= shifted
        self.state.3 = self.state.3 << 45 | self.state.3 >> 19
        return result
    }
}
