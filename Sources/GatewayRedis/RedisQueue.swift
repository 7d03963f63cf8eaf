import GatewayCore

/// The queue's keys and commands.
///
///     NAMESPACE:martlet:{LEDGER}:queue        list: identifiers of batches, the newest at the head
///                                :processing  list: those that a writer has taken and not finished
///                                :batch:ID    the batch's bytes, kept for a while
///                                :verdict:ID  what the writer says of it, kept for a while
///                                :lock        who writes: a value of the holder's own, its token and name
///
/// LEDGER is made with the database, so that fleets which share a Redis never see each other's batches; the braces keep
/// all keys of a fleet together. Nothing here is needed for exactness: any key may vanish at any time.
struct RedisQueue: Sendable {
    /// What the writer says of a batch. A hint: the store alone knows.
    enum Verdict: String {
        case stored = "1"
        case rejected = "0"
        /// It could not be read, or the store refuses its content.
        case refused = "x"
    }

    /// The queue at one moment.
    struct Look: Sendable {
        var lock: WriterLock?
        var depth: Int
        var inWork: Int
        /// Of the oldest batch. `nil`: none is there.
        var oldest: BatchID?
    }

    private let connection: RedisConnection
    private let prefix: String
    private let configuration: RedisTransportConfiguration

    init(connection: RedisConnection, ledgerID: UUIDBits, configuration: RedisTransportConfiguration) {
        let namespace = connection.settings.namespace
        self.connection = connection
        self.prefix = (namespace.isEmpty ? "" : "\(namespace):") + "martlet:{\(ledgerID.text)}:"
        self.configuration = configuration
    }

    private var queue: String { self.prefix + "queue" }
    private var inWorkList: String { self.prefix + "processing" }
    private var lock: String { self.prefix + "lock" }
    private func batch(_ id: BatchID) -> String { "\(self.prefix)batch:\(id.text)" }
    private func verdict(_ id: BatchID) -> String { "\(self.prefix)verdict:\(id.text)" }

    // MARK: pods

    /// Pushing again moves the batch to the head, so it never stands there twice, and what was said of it is forgotten.
    private static let push = """
        local had = redis.call('LREM', KEYS[1], 0, ARGV[1])
        if had == 0 and redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
        redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', KEYS[3])
        return redis.call('LPUSH', KEYS[1], ARGV[1])
        """

    /// - Throws: also when the queue is at its bound.
    func push(_ id: BatchID, _ bytes: [UInt8]) async throws(RedisError) {
        let command = RedisCommand(
            "EVAL", Self.push, "3", self.queue, self.batch(id), self.verdict(id), id.text
        )
        .with(bytes).with(String(RedisTransportConfiguration.payloadLife.milliseconds))
        .with(String(self.configuration.queueMax))
        if try await self.connection.send(command).integer == -1 {
            throw RedisError(
                .other,
                "The queue in Redis at \(self.connection.settings.target) is at its bound of "
                    + "\(self.configuration.queueMax) batches: does any pod empty it?")
        }
    }

    /// `nil`: the writer has said nothing yet.
    func verdict(of id: BatchID) async throws(RedisError) -> Verdict? {
        try await self.connection.send(RedisCommand("GET", self.verdict(id))).text.flatMap(Verdict.init)
    }

    /// Takes a batch back, if no writer has taken it.
    func withdraw(_ id: BatchID) async throws(RedisError) {
        _ = try await self.connection.send([
            RedisCommand("LREM", self.queue, "0", id.text), RedisCommand("DEL", self.batch(id)),
        ])
    }

    func look() async throws(RedisError) -> Look {
        let replies = try await self.connection.send([
            RedisCommand("GET", self.lock), RedisCommand("LLEN", self.queue), RedisCommand("LLEN", self.inWorkList),
            RedisCommand("LINDEX", self.queue, "-1"), RedisCommand("LINDEX", self.inWorkList, "-1"),
        ])
        let oldest = replies[3...].compactMap { $0.text.flatMap(BatchID.init(text:)) }
        return Look(
            lock: replies[0].text.flatMap(WriterLock.init(text:)), depth: Int(replies[1].integer ?? 0),
            inWork: Int(replies[2].integer ?? 0), oldest: oldest.min { $0.madeAt < $1.madeAt })
    }

    // MARK: the writer

    /// - Returns: whether nobody held it.
    func acquire(_ lock: WriterLock) async throws(RedisError) -> Bool {
        let duration = String(self.configuration.lockDuration.milliseconds)
        return try await self.connection.send(RedisCommand("SET", self.lock, lock.text, "NX", "PX", duration))
            == .status("OK")
    }

    private static let renew = """
        if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
        return 0
        """

    /// - Returns: whether it is still held.
    func renew(_ lock: WriterLock) async throws(RedisError) -> Bool {
        let duration = String(self.configuration.lockDuration.milliseconds)
        return try await self.connection.send(
            RedisCommand("EVAL", Self.renew, "1", self.lock, lock.text, duration)
        ).integer == 1
    }

    private static let release = """
        if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
        return 0
        """

    func release(_ lock: WriterLock) async throws(RedisError) {
        _ = try await self.connection.send(RedisCommand("EVAL", Self.release, "1", self.lock, lock.text))
    }

    /// Each step moves one batch from list to list, so that none is ever in neither.
    private static let take = """
        if redis.call('GET', KEYS[3]) ~= ARGV[1] then return false end
        local taken = {}
        for place = 1, tonumber(ARGV[2]) do
            local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
            if not id then break end
            taken[place] = id
        end
        return taken
        """

    /// Moves the oldest batches into work.
    /// - Returns: `nil`: the lock is not held any more.
    func take(holding lock: WriterLock) async throws(RedisError) -> [BatchID]? {
        let reply = try await self.connection.send(
            RedisCommand(
                "EVAL", Self.take, "3", self.queue, self.inWorkList, self.lock, lock.text,
                String(RedisTransportConfiguration.takeMax)))
        return reply == .null ? nil : await self.identifiers(reply)
    }

    /// Everything in work, the oldest first: what this writer has taken, and what one before it left.
    func inWork() async throws(RedisError) -> [BatchID] {
        let reply = try await self.connection.send(
            RedisCommand("LRANGE", self.inWorkList, String(-self.configuration.queueMax), "-1"))
        return await self.identifiers(reply).reversed()
    }

    /// What is no identifier of ours was put there by somebody else, and goes.
    private func identifiers(_ reply: RedisReply) async -> [BatchID] {
        var (known, strange): ([BatchID], [RedisCommand]) = ([], [])
        for element in reply.elements {
            if let id = element.text.flatMap(BatchID.init(text:)) {
                known.append(id)
            } else if let bytes = element.bytes {
                strange.append(RedisCommand("LREM", self.inWorkList, "0").with(bytes))
            }
        }
        if !strange.isEmpty { _ = try? await self.connection.send(strange) }
        return known
    }

    /// - Returns: the bytes of each; `nil` where they are gone.
    func fetch(_ ids: ArraySlice<BatchID>) async throws(RedisError) -> [[UInt8]?] {
        var command = RedisCommand("MGET")
        for id in ids { command.add(self.batch(id)) }
        return try await self.connection.send(command).elements.map(\.bytes)
    }

    /// Tells the pods, and takes the batches out of work. Bytes stay where there is no verdict: the pod may have brought
    /// them back this moment.
    func settle(_ verdicts: [(id: BatchID, verdict: Verdict?)]) async throws(RedisError) {
        if verdicts.isEmpty { return }
        let life = String(RedisTransportConfiguration.verdictLife.milliseconds)
        var commands: [RedisCommand] = []
        for (id, verdict) in verdicts {
            if let verdict {
                commands.append(RedisCommand("SET", self.verdict(id), verdict.rawValue, "PX", life))
                commands.append(RedisCommand("DEL", self.batch(id)))
            }
            commands.append(RedisCommand("LREM", self.inWorkList, "0", id.text))
        }
        _ = try await self.connection.send(commands)
    }
}

/// A batch's name in the queue: random, with the time when it was made.
struct BatchID: Hashable, Sendable {
    let random: UInt64
    /// By the clock of the pod that made it.
    let madeAt: UnixMicroseconds

    init(random: UInt64, madeAt: UnixMicroseconds) {
        self.random = random
        self.madeAt = madeAt
    }

    /// `nil`: it is none.
    init?(text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let random = UInt64(parts[0], radix: 16), let madeAt = Int64(parts[1]) else {
            return nil
        }
        (self.random, self.madeAt) = (random, UnixMicroseconds(rawValue: madeAt))
        guard self.text == text else { return nil }
    }

    var text: String { "\(String(self.random, radix: 16))-\(self.madeAt.rawValue)" }
}

/// What stands in the lock's key.
struct WriterLock: Hashable, Sendable {
    /// Tells two runs of one pod apart.
    let nonce: UInt64
    /// The fencing token that the holder takes.
    let token: Int64
    let name: String

    init(nonce: UInt64, token: Int64, name: String) {
        self.nonce = nonce
        self.token = token
        self.name = name
    }

    /// `nil`: somebody else's value.
    init?(text: String) {
        let parts = text.split(separator: "|", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let nonce = UInt64(parts[0], radix: 16), let token = Int64(parts[1]) else { return nil }
        self.init(nonce: nonce, token: token, name: String(parts[2]))
    }

    var text: String { "\(String(self.nonce, radix: 16))|\(self.token)|\(self.name)" }
}
