import GatewayCore
import Synchronization

/// Row numbers of payers and routes by object: calls share the object as long as a key or deployment stands. Holds the
/// objects, so that an address is never reused. All is forgotten with every new connection: a server that a failover
/// has put in the other's place may not have the rows.
final class IdentityCache: Sendable {
    struct Numbers: Sendable {
        var payers: [ObjectIdentifier: (object: PayerIdentity, id: Int32)] = [:]
        var routes: [ObjectIdentifier: (object: RouteIdentity, id: Int32)] = [:]
        var generation = 0
    }

    /// When so many are known, all are forgotten and looked up anew: about 4 MiB at most.
    static let entriesMax = 32_768

    private let numbers = Mutex(Numbers())

    /// What is known under this generation of the connection.
    func numbers(generation: Int) -> Numbers {
        self.numbers.withLock { numbers in
            if numbers.generation != generation { numbers = Numbers(generation: generation) }
            return numbers
        }
    }

    func add(payers: [(PayerIdentity, Int32)], generation: Int) {
        self.numbers.withLock { numbers in
            guard numbers.generation == generation else { return }
            if numbers.payers.count + payers.count > Self.entriesMax { numbers.payers.removeAll() }
            for (object, id) in payers { numbers.payers[ObjectIdentifier(object)] = (object, id) }
        }
    }

    func add(routes: [(RouteIdentity, Int32)], generation: Int) {
        self.numbers.withLock { numbers in
            guard numbers.generation == generation else { return }
            if numbers.routes.count + routes.count > Self.entriesMax { numbers.routes.removeAll() }
            for (object, id) in routes { numbers.routes[ObjectIdentifier(object)] = (object, id) }
        }
    }
}

extension PayerIdentity {
    /// The fields one after the other with their lengths, so that equal bytes mean equal content.
    var content: [UInt8] {
        var bytes: [UInt8] = []
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

extension RouteIdentity {
    /// As `PayerIdentity.content`.
    var content: [UInt8] {
        var bytes: [UInt8] = []
        for text in [self.modelGroup, self.model, self.provider, self.deploymentID, self.priceVersion] {
            bytes.appendBigEndian(Int32(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        return bytes
    }
}
