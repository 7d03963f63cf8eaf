import TestSupport
import Testing

@Suite("The key store of these tests")
struct MemoryKeyStoreTests {
    @Test("does what every key store does", arguments: KeyStoreConformance.behaviours)
    func conformance(behaviour: KeyStoreBehaviour) async throws {
        try await behaviour.check { MemoryKeyStore() }
    }
}
