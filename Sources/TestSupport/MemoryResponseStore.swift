import GatewayCore
import GatewayLedger
import Synchronization

/// Responses in memory, for tests of what works with a store. It can be away.
package final class MemoryResponseStore: ResponseStore {
    private struct State {
        var responses: [String: StoredResponse] = [:]
        var isAway = false
        var reads = 0
    }
    private let state = Mutex(State())

    package init() {}

    package var isAway: Bool {
        get { self.state.withLock { $0.isAway } }
        set { self.state.withLock { $0.isAway = newValue } }
    }
    /// Times that a conversation was asked for.
    package var reads: Int { self.state.withLock { $0.reads } }
    package var all: [StoredResponse] {
        self.state.withLock { state in
            state.responses.values.sorted { ($0.createdAt.rawValue, $0.id) < ($1.createdAt.rawValue, $1.id) }
        }
    }

    private func withState<T>(_ body: (inout State) -> T) throws(LedgerError) -> T {
        try self.state.withLock { state throws(LedgerError) in
            guard !state.isAway else { throw .unavailable("The store in memory plays away.") }
            return body(&state)
        }
    }

    package func insert(_ responses: [StoredResponse]) async throws(LedgerError) {
        try self.withState { state in
            for response in responses where state.responses[response.id] == nil {
                state.responses[response.id] = response
            }
        }
    }

    package func conversation(
        _ id: String, owner: String?, now: UnixMicroseconds, turnsMax: Int, bytesMax: Int
    ) async throws(LedgerError) -> StoredConversation {
        try self.withState { state in
            state.reads += 1
            var conversation = StoredConversation(turns: [], isCut: false)
            var (next, owner, bytes) = (Optional(id), owner, 0)
            while let id = next, let turn = state.responses[id], turn.expiresAt > now,
                owner ?? turn.owner == turn.owner
            {
                if case .content(let content) = turn.place { bytes += content.count }
                if !conversation.turns.isEmpty, conversation.turns.count >= turnsMax || bytes > bytesMax {
                    conversation.isCut = true
                    break
                }
                conversation.turns.append(turn)
                (next, owner) = (turn.previousID, turn.owner)
            }
            return conversation
        }
    }

    package func deleteResponse(_ id: String, owner: String?) async throws(LedgerError) -> Bool {
        try self.withState { state in
            guard let found = state.responses[id], owner ?? found.owner == found.owner else { return false }
            state.responses[id] = nil
            return true
        }
    }

    package func deleteResponses(endedBy now: UnixMicroseconds) async throws(LedgerError) -> Int64 {
        try self.withState { state in
            let before = state.responses.count
            state.responses = state.responses.filter { $0.value.expiresAt > now }
            return Int64(before - state.responses.count)
        }
    }
}
