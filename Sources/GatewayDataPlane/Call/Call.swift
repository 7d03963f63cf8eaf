import GatewayAdmission
import GatewayCore
import GatewayRouting
import GatewayWire
import NIOCore

/// One call of a caller, from its whole request to its settled answer. Lives on one event loop.
///
///     start ─► route ─► (wait for a place) ─► connect ─► sent ─► head ─► held answer ─► answered
///                ▲                               │         │       └──► event stream ─► answered or aborted
///                └──────── retry, fall back ◄────┴─────────┘
///
/// Every attempt that was sent, or tried to be, is settled exactly once (`settle` in SettleCall.swift).
final class Call {
    enum Phase {
        case starting, resolving, admitting, waiting, connecting, sent, holding, streaming, relayingLarge, storing
        case pausing, done
    }

    let loop: LoopContext
    unowned let caller: CallerHandler
    let requestID: RequestID
    let kind: CallKind
    let key: KeyEntry
    /// When the request's head was whole, monotonic nanoseconds.
    let receivedAt: UInt64
    var body: ByteBuffer
    /// What the request's head says beside the kind. `nil`: nothing.
    let origin: CallOrigin?
    let keepsAlive: Bool
    let isHTTP11: Bool

    var phase = Phase.starting {
        // Every way out leads here, and what the call holds of budgets and limits ends with it.
        didSet {
            guard case .done = self.phase else { return }
            if self.ticket != nil { self.endAdmission() }
            if self.picking != nil { self.leaveDeployment() }
        }
    }
    var scan = RequestScan()
    var modelName = ""
    var endUser: String?
    /// How often its bound on output tokens has been lowered.
    var clampCount: UInt8 = 0
    /// That the call names, as far as they may have a budget or a limit.
    var tags: [String] = []

    // Admission
    /// What the call holds of budgets and limits. `nil`: nothing binds it.
    var ticket: AdmissionTicket?
    var admissionPaths: AdmissionGate.KeyPaths?
    /// When it began to wait for the store, monotonic nanoseconds.
    var admittingSince: UInt64 = 0
    /// What the attempt holds of budgets and limits of its deployment. `nil`: none of the group is bound.
    var picking: DeploymentPick?
    /// Searches of the web that the provider may make. `nil`: it may, and the body sets no bound.
    var searchesMax: Int64? = 0
    /// Header lines that tell of rate limits.
    var rateLines: [UInt8] = []

    // Routing
    var group: TargetGroup?
    var target: Target?
    var triedTargets: Set<Int> = []
    var attemptsInGroup = 0
    var groupsTried = 1
    var fallbacksLeft: [String] = []
    /// Number of this attempt, from 0; it names the attempt for callbacks that come late.
    var attempt = -1
    var hasPlace = false
    var waitingSince: UInt64 = 0

    // This attempt
    var upstream: UpstreamConnection?
    var attemptStartedAt: UInt64 = 0
    var lastReadAt: UInt64 = 0
    /// 0: no byte of the answer has come.
    var firstByteAt: UInt64 = 0
    var isSettled = true
    var asksForUsage = false
    /// `nil`: caller and deployment both speak OpenAI's chat, or the call is no conversation.
    var translation: CallTranslation?
    /// `nil`: the call is a conversation, a completion or an embedding.
    var meter: CallMeter?
    /// `nil`: caller and deployment both ask for embeddings as OpenAI does, or the call is another.
    var embedding: EmbeddingCall?
    /// `nil`: the call has nothing to do with responses that are kept.
    var responses: ResponseCall?
    /// Format of a call of a provider's own path. `nil`: another call, or none is known.
    var passedFormat: WireFormat?

    // Its answer
    var answerHead = ResponseHead()
    var answerHeadBytes: ByteBuffer
    var held: ByteBuffer
    var stream: StreamRelay?
    var largeUsage: StreamingUsageScanner?
    /// Bytes of an answer that is too large to be held, as far as they have come.
    var largeBytes = 0
    /// What goes out at the end of this read: the answer's head, and a piece of its stream. Empty: nothing.
    var outgoingHead: ByteBuffer
    var outgoing: ByteBuffer
    /// Whether any byte of an answer has been written to the caller.
    var answerBegan = false
    /// An event stream that was made here has no provider's head to say so.
    var answerIsEventStream = false
    var settledCost = NanoUSD.zero
    /// 0: no attempt has been settled.
    var settledAt: UInt64 = 0
    /// Bytes counted against the bound on all request bodies together.
    var bodyReservation = 0

    init(
        loop: LoopContext, caller: CallerHandler, requestID: RequestID, kind: CallKind, key: KeyEntry,
        receivedAt: UInt64, body: ByteBuffer, origin: CallOrigin?, keepsAlive: Bool, isHTTP11: Bool
    ) {
        self.loop = loop
        self.caller = caller
        self.requestID = requestID
        self.kind = kind
        self.key = key
        self.receivedAt = receivedAt
        self.body = body
        self.answerHeadBytes = loop.empty
        self.held = loop.empty
        self.outgoingHead = loop.empty
        self.outgoing = loop.empty
        self.origin = origin
        self.keepsAlive = keepsAlive
        self.isHTTP11 = isHTTP11
    }

    /// Reads the body, checks the key's rights, and sends the first attempt on its way.
    func start() {
        if let request = self.origin?.response { return self.askResponse(request) }
        let isConversation = self.kind.rawValue <= CallKind.converse.rawValue
        if let refusal = isConversation ? self.readScan() : self.readOther() { return self.refuse(refusal) }
        if isConversation, self.hasFormatFacts, let refusal = self.readFormatFacts() { return self.refuse(refusal) }
        if let responses = self.responses, let id = responses.previousID { return self.findEarlier(id, responses) }
        self.begin()
    }

    /// Finds who serves the call, and sends the first attempt on its way.
    func begin() {
        guard let group = self.findGroup() else {
            if let request = self.origin?.passThrough { return self.refuse(.noPassThrough(request.provider)) }
            guard !self.modelName.isEmpty else {
                return self.refuse(
                    GatewayError(
                        status: 400, type: "invalid_request_error", param: "model", origin: .caller,
                        message: "The request names no model: send \"model\" as a string."))
            }
            return self.refuse(Admit.unknownModel(self.modelName, kind: self.kind))
        }
        guard let group = self.pinned(group) else { return self.refuse(.conversationElsewhere) }
        self.group = group
        guard self.scan.mockResponse.count <= Self.mockResponseBytesMax else {
            return self.refuse(
                GatewayError(
                    status: 400, type: "invalid_request_error", param: "mock_response", origin: .caller,
                    message: "mock_response is longer than \(Self.mockResponseBytesMax) bytes: send a shorter one."))
        }
        if !self.scan.user.isEmpty {
            self.endUser = self.body.withUnsafeReadableBytes {
                String(decoding: $0[self.scan.user].prefix(Self.endUserBytesMax), as: UTF8.self)
            }
        }
        if self.loop.keys.entities.hasTags { self.tags = self.findTags() }
        if self.origin?.isDryRun ?? false { return self.explain(group) }
        self.admit(to: group)
    }

    private func readOther() -> GatewayError? {
        self.kind == .passThrough ? self.readPassThrough() : self.readUnits()
    }

    /// Reads a JSON body. `nil`: the call may go on.
    @inline(__always)
    func readScan() -> GatewayError? {
        switch self.body.withUnsafeReadableBytes({ JSONScanner.scanRequest($0) }) {
        case .failure(let fault):
            return GatewayError(
                status: 400, type: "invalid_request_error", param: fault.param ?? "request_body", origin: .caller,
                message: fault.message)
        case .success(let scan):
            self.scan = scan
            return nil
        }
    }

    /// What the key's owners say of this call.
    var path: AdmissionPath {
        self.loop.keys.entities.path(of: self.key, now: self.loop.wallTime(atNanoseconds: self.receivedAt))
    }

    static let endUserBytesMax = 256
    /// A few words are what it is for, and each word of a stream costs an event.
    private static let mockResponseBytesMax = 64 << 10

    /// Sets `modelName` and finds the group that serves it. `nil`: none does, or no name was given.
    private func findGroup() -> TargetGroup? {
        if let request = self.origin?.passThrough {
            self.modelName = self.passThroughName(request)
            return self.loop.passThroughGroup(request.provider, name: self.modelName)
        }
        if let pathModel = self.origin?.model {
            self.modelName = pathModel
        } else if self.scan.model.isEmpty {
            return nil
        } else if self.scan.modelHasEscapes {
            self.modelName = self.body.withUnsafeReadableBytes { jsonUnescaped($0[self.scan.model]) }
        } else {
            let found = self.body.withUnsafeReadableBytes { self.loop.targetGroup(bytes: $0[self.scan.model]) }
            if let found {
                self.modelName = found.name
                return found.group
            }
            self.modelName = self.body.withUnsafeReadableBytes {
                String(decoding: $0[self.scan.model], as: UTF8.self)
            }
            return nil
        }
        return self.loop.targetGroup(self.modelName)
    }

    /// Answers with an error of the gateway's own; nothing was sent upstream, or everything sent is settled.
    func refuse(_ error: GatewayError) {
        self.phase = .done
        self.leavePlace()
        self.caller.answer(error, for: self)
    }

    func leavePlace() {
        guard self.hasPlace, let target = self.target else { return }
        self.hasPlace = false
        target.returnPlace()
    }

    /// The caller has gone: cancel what runs and settle it.
    func callerLeft() {
        switch self.phase {
        case .starting, .resolving, .storing, .pausing, .done, .connecting: break
        case .admitting: self.loop.cancelAdmitting(self)
        case .waiting: self.target?.cancelWaiting(self)
        case .sent, .holding, .streaming, .relayingLarge:
            self.upstream?.cancel()
            self.settleUnfinished(.callerLeft)
        }
        self.phase = .done
        self.upstream = nil
        self.leavePlace()
    }

    /// The pod is going down and its patience has ended.
    func drained() {
        guard self.phase != .done else { return }
        self.upstream?.cancel()
        switch self.phase {
        case .sent, .holding, .streaming, .relayingLarge: self.settleUnfinished(.draining)
        case .admitting: self.loop.cancelAdmitting(self)
        case .waiting: self.target?.cancelWaiting(self)
        default: break
        }
        self.phase = .done
        self.upstream = nil
        self.leavePlace()
    }

    /// Looks at the attempt's deadlines.
    func tick(now: UInt64) {
        if let responses = self.responses, self.tickResponse(responses, now: now) { return }
        guard let target = self.target else { return }
        let timeouts = self.loop.timeouts
        let total = self.scan.stream ? target.streamTimeout : target.totalTimeout
        let isLate: Bool
        switch self.phase {
        case .sent: isLate = now &- self.attemptStartedAt > min(timeouts.firstByte, total)
        case .holding, .relayingLarge, .streaming:
            // A caller that reads slowly is not the provider's fault: its own bound is in the caller's handler.
            let isStalled = now &- self.lastReadAt > timeouts.idle && self.caller.isWritable
            isLate = isStalled || now &- self.attemptStartedAt > total
        default: isLate = false
        }
        guard isLate else { return }
        self.upstream?.cancel()
        self.upstreamFailed(.timedOut)
    }
}

/// Undoes JSON's escapes in the content of a verified string (RFC 8259, section 7). Lone surrogates become U+FFFD.
func jsonUnescaped(_ bytes: UnsafeRawBufferPointer) -> String {
    var units: [UInt16] = []
    var result = ""
    var index = 0
    func flush() {
        guard !units.isEmpty else { return }
        result += String(decoding: units, as: UTF16.self)
        units = []
    }
    while index < bytes.count {
        guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
            flush()
            let end = bytes[index...].firstIndex(of: UInt8(ascii: "\\")) ?? bytes.count
            result += String(decoding: bytes[index..<max(end, index + 1)], as: UTF8.self)
            index = max(end, index + 1)
            continue
        }
        let escape = bytes[index + 1]
        index += 2
        if escape == UInt8(ascii: "u"), index + 4 <= bytes.count {
            units.append(bytes[index..<index + 4].reduce(0) { $0 << 4 | UInt16(hexValue($1) ?? 0) })
            index += 4
            continue
        }
        flush()
        let plain: Character =
            switch escape {
            case UInt8(ascii: "n"): "\n"
            case UInt8(ascii: "t"): "\t"
            case UInt8(ascii: "r"): "\r"
            case UInt8(ascii: "b"): "\u{8}"
            case UInt8(ascii: "f"): "\u{C}"
            default: Character(UnicodeScalar(escape))
            }
        result.append(plain)
    }
    flush()
    return result
}
