import GatewayWire
import TestSupport
import Testing

@Suite("A comparison of secrets", .ownThread)
struct SecretBytesTests {
    @Test("sees every byte that differs within its range, and none outside")
    func differs() {
        for count in 0..<70 {
            let first = [UInt8]((0..<count).map { UInt8($0) })
            for range in [0..<count, 0..<(count / 2), (count / 3)..<count] {
                for position in 0..<count {
                    var second = first
                    second[position] ^= 0x80
                    let isEqual = first.withUnsafeBytes { left in
                        second.withUnsafeBytes { SecretBytes.areEqual(left, $0, in: range) }
                    }
                    #expect(isEqual == !range.contains(position))
                }
                #expect(first.withUnsafeBytes { SecretBytes.areEqual($0, $0, in: range) })
            }
        }
    }
}
