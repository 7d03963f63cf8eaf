import GatewayCore
import GatewayLedger
import GatewayTranslation
import Logging
import NIOCore
import Synchronization

/// A response on its way into the store.
struct ResponseDraft: Sendable {
    enum Content: Sendable {
        /// The turn is to be made of the request and its answer, or of the end of the answer's stream.
        case turn(request: ByteBuffer, answer: ByteBuffer, isStream: Bool)
        case deployment(id: String, account: String)

        var isTurn: Bool { if case .turn = self { true } else { false } }
    }

    let id: String
    let owner: String
    /// `nil`: it begins a conversation.
    let previousID: String?
    /// For identifiers of items: letters and digits.
    let identifier: String
    let content: Content

    var bytes: Int {
        switch content {
        case .turn(let request, let answer, _): request.readableBytes + answer.readableBytes
        case .deployment: 0
        }
    }
}

/// What the store says of a response.
enum ResponseFinding: Sendable {
    /// The turns of its conversation, the oldest first, opened.
    case turns([[UInt8]])
    case deployment(id: String, account: String)
    case missing
    /// The conversation is longer than it may be.
    case tooLong
    case storeAway
}

/// Keeps responses and finds them again, off the event loops. Shared by all of them.
///
///     keep ─► waiting (bounded) ─► one writer: turns made, sealed, inserted together ─► `done`, on any thread
///                 └─ full: not kept, `done` at once
package final class ResponseArchive: Sendable {
    package let configuration: ResponseArchiveConfiguration
    private let store: any ResponseStore
    /// `nil`: contents are stored as they are.
    private let seal: ResponseSeal?
    private let clock: any WallClock
    private let logger: Logger
    private let pause: @Sendable () async -> Void
    private let state = Mutex(State())

    private struct Waiting {
        let draft: ResponseDraft
        let done: @Sendable () -> Void
    }

    private struct State {
        var waiting: [Waiting] = []
        var waitingBytes = 0
        var isWriting = false
        /// The store has failed and not worked since: said once.
        var isAway = false
        var isFull = false
        var isClosing = false
        var idle: [CheckedContinuation<Void, Never>] = []
    }

    /// Rows that go into the store together.
    private static let batchMax = 64
    private static let batchBytesMax = 8 << 20

    /// - Parameters:
    ///   - seal: `nil`: no key is configured to seal with.
    ///   - pause: between two tries when the store is away.
    package init(
        store: any ResponseStore, seal: ResponseSeal?, configuration: ResponseArchiveConfiguration,
        clock: any WallClock, logger: Logger, pause: @escaping @Sendable () async -> Void
    ) {
        self.store = store
        self.seal = seal
        self.configuration = configuration
        self.clock = clock
        self.logger = logger
        self.pause = pause
    }

    // MARK: Keeping

    /// Takes a draft. `done` is called once: when it is in the store, or will never be.
    func keep(_ draft: ResponseDraft, done: @escaping @Sendable () -> Void) {
        enum Way {
            case waits, begins
            case refused(isFirst: Bool)
        }
        let bytes = draft.bytes
        let way: Way = self.state.withLock { state in
            guard bytes <= self.configuration.turnBytesMax, state.waiting.count < self.configuration.waitingMax,
                state.waitingBytes + bytes <= self.configuration.waitingBytesMax, !state.isClosing
            else {
                let isFirst = !state.isFull && bytes <= self.configuration.turnBytesMax
                if isFirst { state.isFull = true }
                return .refused(isFirst: isFirst)
            }
            state.isFull = false
            state.waiting.append(Waiting(draft: draft, done: done))
            state.waitingBytes += bytes
            if state.isWriting { return .waits }
            state.isWriting = true
            return .begins
        }
        switch way {
        case .waits: break
        case .begins: Task { await self.write() }
        case .refused(let isFirst):
            if isFirst {
                self.logger.warning("Responses are not stored: too many wait for the store already")
            }
            done()
        }
    }

    private func write() async {
        while true {
            let batch: [Waiting]? = self.state.withLock { state in
                var (bytes, count) = (0, 0)
                let batch = state.waiting.prefix(Self.batchMax).prefix { waiting in
                    bytes += waiting.draft.bytes
                    count += 1
                    return count == 1 || bytes <= Self.batchBytesMax
                }
                state.waiting.removeFirst(batch.count)
                state.waitingBytes -= batch.reduce(0) { $0 + $1.draft.bytes }
                if batch.isEmpty { state.isWriting = false }
                return batch.isEmpty ? nil : Array(batch)
            }
            guard let batch else { break }
            let rows = batch.compactMap { self.row(of: $0.draft) }
            await self.insert(rows)
            for waiting in batch { waiting.done() }
        }
        let idle = self.state.withLock { state in
            defer { state.idle = [] }
            return state.idle
        }
        for continuation in idle { continuation.resume() }
    }

    /// Tries again while the store is away, until the pod stops.
    private func insert(_ rows: [StoredResponse]) async {
        while !rows.isEmpty {
            do throws(LedgerError) {
                try await self.store.insert(rows)
                self.noteStore(isAway: false, nil)
                return
            } catch {
                self.noteStore(isAway: true, error)
                guard case .unavailable = error, !self.state.withLock({ $0.isClosing }) else { return }
                await self.pause()
            }
        }
    }

    private func noteStore(isAway: Bool, _ error: LedgerError?) {
        let isChange = self.state.withLock { state in
            defer { state.isAway = isAway }
            return state.isAway != isAway
        }
        guard isChange else { return }
        if let error {
            self.logger.error("Responses cannot be stored", metadata: ["error.message": "\(error.message)"])
        } else {
            self.logger.notice("Responses are stored again")
        }
    }

    /// `nil`: the answer holds no response, or it is too large.
    private func row(of draft: ResponseDraft) -> StoredResponse? {
        let now = self.clock.now()
        var place: StoredResponse.Place
        switch draft.content {
        case .deployment(let id, let account): place = .deployment(id: id, account: account)
        case .turn(let request, let answer, let isStream):
            let turn = request.withUnsafeReadableBytes { request in
                answer.withUnsafeReadableBytes {
                    ResponseTurn.record(
                        request: request, response: $0, isStream: isStream, identifier: draft.identifier)
                }
            }
            guard let turn else { return nil }
            place = .content(self.sealed(turn, id: draft.id))
        }
        return StoredResponse(
            id: draft.id, owner: draft.owner, previousID: draft.previousID, place: place, createdAt: now,
            expiresAt: now.advanced(bySeconds: self.configuration.retention.components.seconds))
    }

    /// Waits until all that waits is stored; when the store is away, until that has been tried once more.
    package func close() async {
        await withCheckedContinuation { continuation in
            let isIdle = self.state.withLock { state in
                state.isClosing = true
                if state.isWriting { state.idle.append(continuation) }
                return !state.isWriting
            }
            if isIdle { continuation.resume() }
        }
    }

    // MARK: Sealing

    /// What the first byte of a stored content says of the rest.
    private static let plainMark: UInt8 = 0
    private static let sealedMark: UInt8 = 1

    private func sealed(_ turn: [UInt8], id: String) -> [UInt8] {
        guard let seal = self.seal else { return [Self.plainMark] + turn }
        return [Self.sealedMark] + seal.seal(turn, id)
    }

    /// `nil`: it cannot be opened with the keys that are configured.
    private func opened(_ content: [UInt8], id: String) -> [UInt8]? {
        switch content.first {
        case Self.plainMark: Array(content.dropFirst())
        case Self.sealedMark: self.seal?.open(Array(content.dropFirst()), id)
        default: nil
        }
    }

    // MARK: Finding

    /// - Parameters:
    ///   - owner: `nil`: whoever owns it.
    ///   - whole: with all turns of its conversation before it, not alone.
    func find(_ id: String, owner: String?, whole: Bool) async -> ResponseFinding {
        guard Self.isIdentifier(id) else { return .missing }
        let found: StoredConversation
        do throws(LedgerError) {
            found = try await self.store.conversation(
                id, owner: owner, now: self.clock.now(), turnsMax: whole ? self.configuration.turnsMax : 1,
                bytesMax: self.configuration.conversationBytesMax)
        } catch {
            self.logger.error("Stored responses cannot be read", metadata: ["error.message": "\(error.message)"])
            return .storeAway
        }
        guard let first = found.turns.first, let oldest = found.turns.last else { return .missing }
        if case .deployment(let id, let account) = first.place { return .deployment(id: id, account: account) }
        if whole, found.isCut { return .tooLong }
        // A conversation without its begin would be another one.
        if whole, oldest.previousID != nil { return .missing }
        var turns: [[UInt8]] = []
        for turn in found.turns.reversed() {
            guard case .content(let content) = turn.place, let opened = self.opened(content, id: turn.id) else {
                self.logger.warning("A stored response cannot be opened: it was sealed with another salt key")
                return .missing
            }
            turns.append(opened)
        }
        return .turns(turns)
    }

    /// - Returns: whether there was one. `nil`: the store is away.
    func remove(_ id: String, owner: String?) async -> Bool? {
        guard Self.isIdentifier(id) else { return false }
        do throws(LedgerError) { return try await self.store.deleteResponse(id, owner: owner) } catch {
            self.logger.error("A stored response cannot be deleted", metadata: ["error.message": "\(error.message)"])
            return nil
        }
    }

    private static let identifierBytesMax = 1024

    /// Whether the store is to be asked for it at all.
    static func isIdentifier(_ id: String) -> Bool {
        !id.isEmpty && id.utf8.count <= Self.identifierBytesMax && id.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
