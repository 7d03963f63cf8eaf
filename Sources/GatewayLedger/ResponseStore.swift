import GatewayCore

/// A response of `/v1/responses` that can be asked for again, as the store keeps it.
package struct StoredResponse: Sendable, Equatable {
    /// Where the conversation is.
    package enum Place: Sendable, Equatable {
        /// Here: what was asked and answered in this turn, sealed or plain (`ResponseArchive`).
        case content([UInt8])
        /// At the provider of a deployment, which knows the response by the same identifier.
        /// - Parameter account: tells deployments apart whose provider's account is another one.
        case deployment(id: String, account: String)
    }

    /// As callers name it; unique.
    package var id: String
    /// Who may have it again: a team, or a key without one.
    package var owner: String
    /// The response that this one goes on from, kept here as well. `nil`: it begins a conversation.
    package var previousID: String?
    package var place: Place
    package var createdAt: UnixMicroseconds
    /// From then on it is as if it had never been.
    package var expiresAt: UnixMicroseconds

    package init(
        id: String, owner: String, previousID: String?, place: Place, createdAt: UnixMicroseconds,
        expiresAt: UnixMicroseconds
    ) {
        self.id = id
        self.owner = owner
        self.previousID = previousID
        self.place = place
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }
}

/// A response with those before it in its conversation.
package struct StoredConversation: Sendable, Equatable {
    /// The one that was asked for first, then the one before it, and so on.
    package var turns: [StoredResponse]
    /// More turns or bytes belong to it than were asked for: those that are left out are the oldest.
    package var isCut: Bool

    package init(turns: [StoredResponse], isCut: Bool) {
        self.turns = turns
        self.isCut = isCut
    }
}

/// Keeps responses so that any pod can answer with them. Every conformance passes `ResponseStoreConformance`.
package protocol ResponseStore: Sendable {
    /// Stores all of `responses` or none. One whose identifier is taken is left out: nobody can put another in its place.
    /// - Throws: `.unavailable`: outcome unknown, repeat.
    func insert(_ responses: [StoredResponse]) async throws(LedgerError)
    /// The response and those before it, by their `previousID`, of the same owner.
    ///
    /// - Parameters:
    ///   - owner: `nil`: whoever owns it.
    ///   - now: those that end by then are not found.
    ///   - turnsMax: 1 or more.
    ///   - bytesMax: of all contents together; the first turn is given whatever its size.
    /// - Returns: no turns: there is no such response, or it is another's.
    func conversation(
        _ id: String, owner: String?, now: UnixMicroseconds, turnsMax: Int, bytesMax: Int
    ) async throws(LedgerError) -> StoredConversation
    /// - Returns: whether there was one.
    func deleteResponse(_ id: String, owner: String?) async throws(LedgerError) -> Bool
    /// Deletes those that have ended by `now`, step by step.
    /// - Returns: how many.
    func deleteResponses(endedBy now: UnixMicroseconds) async throws(LedgerError) -> Int64
}
