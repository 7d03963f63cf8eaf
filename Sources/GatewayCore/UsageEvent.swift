import Synchronization

/// How the figures of a usage event came about (design: "Money when things break").
package struct UsageFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16
    @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The provider reported the usage (or refused before any output).
    @inlinable package static var measured: UsageFlags { UsageFlags(rawValue: 1) }
    /// Counted from the bytes.
    @inlinable package static var estimated: UsageFlags { UsageFlags(rawValue: 2) }
    /// The pod died with the call in flight; settled at recovery.
    @inlinable package static var orphaned: UsageFlags { UsageFlags(rawValue: 4) }
    /// The attempt failed.
    @inlinable package static var error: UsageFlags { UsageFlags(rawValue: 8) }
    /// The price list does not know the model: cost 0.
    @inlinable package static var unpriced: UsageFlags { UsageFlags(rawValue: 16) }

    // OptionSet's own versions are generic and, from another module, called through witness tables: 15 times as dear.
    @inlinable package init() { self.init(rawValue: 0) }
    @inlinable package func contains(_ member: UsageFlags) -> Bool {
        self.rawValue & member.rawValue == member.rawValue
    }
    @inlinable package mutating func formUnion(_ other: UsageFlags) {
        self = UsageFlags(rawValue: self.rawValue | other.rawValue)
    }

    /// In the order of the contract: measured, estimated, orphaned, error, unpriced.
    package var names: [String] {
        let all: [(UsageFlags, String)] = [
            (.measured, "measured"), (.estimated, "estimated"), (.orphaned, "orphaned"), (.error, "error"),
            (.unpriced, "unpriced"),
        ]
        return all.compactMap { self.contains($0.0) ? $0.1 : nil }
    }
}

/// Why an attempt ended, for the row and for metrics. Closed, so it can be a metric label.
package enum AttemptOutcome: UInt8, Hashable, Sendable, CaseIterable {
    case finished = 0
    case callerLeft = 1
    case upstreamRefused = 2
    case upstreamCut = 3
    case connectFailed = 4
    case timedOut = 5
    case podDied = 6
    case draining = 7
    case responseInvalid = 8

    package var name: String {
        switch self {
        case .finished: "finished"
        case .callerLeft: "caller_left"
        case .upstreamRefused: "upstream_refused"
        case .upstreamCut: "upstream_cut"
        case .connectFailed: "connect_failed"
        case .timedOut: "timed_out"
        case .podDied: "pod_died"
        case .draining: "draining"
        case .responseInvalid: "response_invalid"
        }
    }
}

/// The kinds of call that are metered.
package enum CallKind: UInt8, Hashable, Sendable, CaseIterable {
    case chatCompletion = 0
    case completion = 1
    case embedding = 2
    /// Anthropic's Messages.
    case messages = 3
    /// OpenAI's Responses.
    case responses = 4
    /// Gemini's `generateContent` and `streamGenerateContent`.
    case generateContent = 5
    /// Bedrock's `converse` and `converse-stream`.
    case converse = 6
    case imageGeneration = 7
    case imageEdit = 8
    case imageVariation = 9
    /// Text to audio.
    case speech = 10
    /// Audio to text in its own language.
    case transcription = 11
    /// Audio to text in English.
    case translation = 12
    case moderation = 13
    /// Cohere's shape.
    case rerank = 14
    /// A provider's own path, whatever it does.
    case passThrough = 15

    /// LiteLLM's `call_type`.
    package var name: String {
        switch self {
        case .chatCompletion: "acompletion"
        case .completion: "atext_completion"
        case .embedding: "aembedding"
        case .messages: "anthropic_messages"
        case .responses: "aresponses"
        case .generateContent: "agenerate_content"
        case .converse: "allm_passthrough_route"
        case .imageGeneration: "aimage_generation"
        case .imageEdit: "aimage_edit"
        case .imageVariation: "aimage_variation"
        case .speech: "aspeech"
        case .transcription: "atranscription"
        case .translation: "atranslation"
        case .moderation: "amoderation"
        case .rerank: "arerank"
        case .passThrough: "pass_through_endpoint"
        }
    }

    /// Path behind the base address of a provider that speaks OpenAI's API; of the others the name of the route.
    package var path: String {
        switch self {
        case .chatCompletion: "/chat/completions"
        case .completion: "/completions"
        case .embedding: "/embeddings"
        case .messages: "/messages"
        case .responses: "/responses"
        case .generateContent: "/models/{model}:generateContent"
        case .converse: "/model/{model}/converse"
        case .imageGeneration: "/images/generations"
        case .imageEdit: "/images/edits"
        case .imageVariation: "/images/variations"
        case .speech: "/audio/speech"
        case .transcription: "/audio/transcriptions"
        case .translation: "/audio/translations"
        case .moderation: "/moderations"
        case .rerank: "/rerank"
        case .passThrough: "/{provider}/{endpoint}"
        }
    }

    /// Path of the route at the gateway, as a key's `allowed_routes` name it.
    package var route: String {
        switch self {
        case .generateContent: "/v1beta" + self.path
        case .converse, .passThrough: self.path
        default: "/v1" + self.path
        }
    }

    /// Whether the call is charged by images, seconds, characters or searches where its provider reports no tokens.
    @inlinable @inline(__always)
    package var hasUnits: Bool { self.rawValue >= 7 && self.rawValue <= 14 }

    /// Whether the body may be a form (multipart/form-data) with files in it.
    package var takesForm: Bool {
        switch self {
        case .imageEdit, .imageVariation, .transcription, .translation: true
        default: false
        }
    }
}

/// Who pays: the virtual key and its owners, as they were when the call was admitted. One object per state of a key,
/// shared by all its calls.
package final class PayerIdentity: Sendable {
    package let keyID: VirtualKeyID
    package let digest: KeyDigest
    package let userID: String?
    package let teamID: String?
    /// Where the current journal segment has this identity's definition: segment serial in the high 32 bits, index in
    /// the low 32. Written by the journal only, under its lock; 0 = nowhere.
    package let journalSlot = Atomic<UInt64>(0)

    package init(keyID: VirtualKeyID, digest: KeyDigest, userID: String?, teamID: String?) {
        self.keyID = keyID
        self.digest = digest
        self.userID = userID
        self.teamID = teamID
    }
}

/// Where a call went and at which price list. One object per deployment and price version, shared by all its calls.
package final class RouteIdentity: Sendable {
    /// The name callers use (LiteLLM's `model_group`).
    package let modelGroup: String
    /// The name at the provider, without the provider's prefix.
    package let model: String
    package let provider: String
    package let deploymentID: String
    /// Version of the price list in force, such as `2026-11-22` or `config-1a2b3c4d`.
    package let priceVersion: String
    /// As `PayerIdentity.journalSlot`.
    package let journalSlot = Atomic<UInt64>(0)

    package init(modelGroup: String, model: String, provider: String, deploymentID: String, priceVersion: String) {
        self.modelGroup = modelGroup
        self.model = model
        self.provider = provider
        self.deploymentID = deploymentID
        self.priceVersion = priceVersion
    }
}

/// Written to the journal before an attempt's first byte is sent: enough to settle the attempt should the pod die.
package struct UsageIntent: Sendable {
    package var requestID: RequestID
    package var attempt: UInt8
    package var payer: PayerIdentity
    package var route: RouteIdentity
    package var kind: CallKind
    package var isStream: Bool
    package var startedAt: UnixMicroseconds
    /// What an orphaned attempt is charged: tokens and cost by the configured rule, computed beforehand.
    package var orphanUsage: TokenUsage
    package var orphanCost: NanoUSD
    package var isUnpriced: Bool

    @inlinable @inline(__always)
    package init(
        requestID: RequestID, attempt: UInt8, payer: PayerIdentity, route: RouteIdentity, kind: CallKind,
        isStream: Bool, startedAt: UnixMicroseconds, orphanUsage: TokenUsage, orphanCost: NanoUSD, isUnpriced: Bool
    ) {
        self.requestID = requestID
        self.attempt = attempt
        self.payer = payer
        self.route = route
        self.kind = kind
        self.isStream = isStream
        self.startedAt = startedAt
        self.orphanUsage = orphanUsage
        self.orphanCost = orphanCost
        self.isUnpriced = isUnpriced
    }
}

/// One settled attempt: one row of the ledger. Never edited; a correction is another event.
package struct UsageEvent: Sendable {
    /// With `attempt`, the idempotency key of the row.
    package var requestID: RequestID
    /// 0 for the first upstream attempt, +1 for each retry or fallback.
    package var attempt: UInt8
    package var payer: PayerIdentity
    package var route: RouteIdentity
    package var kind: CallKind
    package var isStream: Bool
    package var startedAt: UnixMicroseconds
    /// From the attempt's start to its end, microseconds.
    package var durationMicroseconds: Int64
    /// From the attempt's start to the first byte of the answer, microseconds. -1: no byte came.
    package var firstByteMicroseconds: Int64
    package var usage: TokenUsage
    package var serviceTier: ServiceTier
    /// Cost at the route's price version.
    package var cost: NanoUSD
    /// HTTP status that the attempt ended with at the provider; 0: none came.
    package var status: UInt16
    package var outcome: AttemptOutcome
    package var flags: UsageFlags
    /// The caller's end user (`user` in the body). `nil`: not given.
    package var endUser: String?

    @inlinable @inline(__always)
    package init(
        requestID: RequestID, attempt: UInt8, payer: PayerIdentity, route: RouteIdentity, kind: CallKind,
        isStream: Bool, startedAt: UnixMicroseconds, durationMicroseconds: Int64, firstByteMicroseconds: Int64,
        usage: TokenUsage, serviceTier: ServiceTier, cost: NanoUSD, status: UInt16, outcome: AttemptOutcome,
        flags: UsageFlags, endUser: String?
    ) {
        self.requestID = requestID
        self.attempt = attempt
        self.payer = payer
        self.route = route
        self.kind = kind
        self.isStream = isStream
        self.startedAt = startedAt
        self.durationMicroseconds = durationMicroseconds
        self.firstByteMicroseconds = firstByteMicroseconds
        self.usage = usage
        self.serviceTier = serviceTier
        self.cost = cost
        self.status = status
        self.outcome = outcome
        self.flags = flags
        self.endUser = endUser
    }
}
