import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport

/// A store of responses that a test makes wait.
final class GatedResponseStore: ResponseStore {
    private struct State {
        var isClosed = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())
    let memory = MemoryResponseStore()

    /// From now on nothing is answered until `open`.
    func close() { self.state.withLock { $0.isClosed = true } }

    func open() {
        let waiting = self.state.withLock { state in
            defer { state = State() }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    var hasWaiting: Bool { self.state.withLock { !$0.waiting.isEmpty } }

    private func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = self.state.withLock { state in
                if state.isClosed { state.waiting.append(continuation) }
                return !state.isClosed
            }
            if isOpen { continuation.resume() }
        }
    }

    func insert(_ responses: [StoredResponse]) async throws(LedgerError) {
        await self.pass()
        try await self.memory.insert(responses)
    }

    func conversation(
        _ id: String, owner: String?, now: UnixMicroseconds, turnsMax: Int, bytesMax: Int
    ) async throws(LedgerError) -> StoredConversation {
        await self.pass()
        return try await self.memory.conversation(
            id, owner: owner, now: now, turnsMax: turnsMax, bytesMax: bytesMax)
    }

    func deleteResponse(_ id: String, owner: String?) async throws(LedgerError) -> Bool {
        try await self.memory.deleteResponse(id, owner: owner)
    }

    func deleteResponses(endedBy now: UnixMicroseconds) async throws(LedgerError) -> Int64 {
        try await self.memory.deleteResponses(endedBy: now)
    }
}
