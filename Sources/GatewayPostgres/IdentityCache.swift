import GatewayCore
import Glibc
import Synchronization

/// Row numbers of payers or routes. Calls share the object of theirs as long as a key or deployment stands, and what the
/// journal gives back has one for each of its segments; so an object that is new is looked for by its content before the
/// database is asked. Holds the objects, so that an address is never reused. All is forgotten with every new connection:
/// a server that a failover has put in the other's place may not have the rows.
final class IdentityCache<Identity: StoredIdentity>: Sendable {
    /// Hashed and compared all at once: an array does both byte by byte.
    private struct Content: Hashable {
        let bytes: [UInt8]

        func hash(into hasher: inout Hasher) {
            self.bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        }

        static func == (left: Content, right: Content) -> Bool {
            guard left.bytes.count == right.bytes.count else { return false }
            return left.bytes.withUnsafeBytes { left in
                right.bytes.withUnsafeBytes { right in
                    left.isEmpty || memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0
                }
            }
        }
    }

    private struct State {
        var byObject: [ObjectIdentifier: (object: Identity, id: Int32)] = [:]
        var byContent: [Content: Int32] = [:]
        var generation = 0

        mutating func id(of object: Identity) -> Int32? {
            if let known = self.byObject[ObjectIdentifier(object)] { return known.id }
            guard let id = self.byContent[Content(bytes: object.content)] else { return nil }
            self.know(object, id)
            return id
        }

        mutating func know(_ object: Identity, _ id: Int32) {
            if self.byObject.count >= IdentityCache.entriesMax { self.byObject.removeAll() }
            self.byObject[ObjectIdentifier(object)] = (object, id)
        }
    }

    /// When so many are known, all are forgotten and looked up anew: about 10 MiB at most.
    static var entriesMax: Int { 32_768 }

    private let state = Mutex(State())

    /// What is known under this generation of the connection. `nil`: nothing.
    func ids(of objects: [Identity], generation: Int) -> [Int32?] {
        self.state.withLock { state in
            if state.generation != generation { state = State(generation: generation) }
            return objects.map { state.id(of: $0) }
        }
    }

    func add(_ objects: [Identity], ids: [Int32], generation: Int) {
        self.state.withLock { state in
            guard state.generation == generation else { return }
            if state.byContent.count + objects.count > Self.entriesMax { state.byContent.removeAll() }
            for (object, id) in zip(objects, ids) {
                state.byContent[Content(bytes: object.content)] = id
                state.know(object, id)
            }
        }
    }
}

/// What has a row number by its content.
protocol StoredIdentity: AnyObject, Sendable {
    /// The fields one after the other with their lengths, so that equal bytes mean equal content.
    var content: [UInt8] { get }
}

extension PayerIdentity: StoredIdentity {
    var content: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(128)
        bytes.appendBigEndian(self.keyID.bits.high)
        bytes.appendBigEndian(self.keyID.bits.low)
        bytes.append(contentsOf: self.digest.bytes)
        for text in [self.userID, self.teamID] {
            bytes.appendBigEndian(Int32(text?.utf8.count ?? -1))
            bytes.append(contentsOf: (text ?? "").utf8)
        }
        return bytes
    }
}

extension RouteIdentity: StoredIdentity {
    var content: [UInt8] {
        var bytes: [UInt8] = []
        for text in [self.modelGroup, self.model, self.provider, self.deploymentID, self.priceVersion] {
            bytes.appendBigEndian(Int32(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        return bytes
    }
}
