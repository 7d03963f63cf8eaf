/// How contents of stored responses are sealed at rest; made by the composition, which knows the keys.
package struct ResponseSeal: Sendable {
    /// Seals the content of the response of this identifier.
    package let seal: @Sendable (_ content: [UInt8], _ id: String) -> [UInt8]
    /// `nil`: sealed by another key, for another response, or changed since.
    package let open: @Sendable (_ sealed: [UInt8], _ id: String) -> [UInt8]?

    package init(
        seal: @escaping @Sendable (_ content: [UInt8], _ id: String) -> [UInt8],
        open: @escaping @Sendable (_ sealed: [UInt8], _ id: String) -> [UInt8]?
    ) {
        self.seal = seal
        self.open = open
    }
}

/// Bounds of what is kept of `/v1/responses`.
package struct ResponseArchiveConfiguration: Sendable, Equatable {
    /// Whether responses are kept at all.
    package var isOn = true
    package var retention: Duration = .seconds(30 * 86_400)
    /// Of one turn, request and response together; larger ones are not kept.
    package var turnBytesMax = 4 << 20
    /// Of one conversation that goes on.
    package var turnsMax = 256
    /// Of all turns of a conversation that goes on.
    package var conversationBytesMax = 16 << 20
    /// Responses that wait for the store, and their bytes; beyond, further ones are not kept.
    package var waitingMax = 4096
    package var waitingBytesMax = 64 << 20
    /// Longest that the end of an answer waits for the store.
    package var storingTimeout: Duration = .seconds(1)
    /// Longest that a request waits for what it asks of the store.
    package var readingTimeout: Duration = .seconds(10)

    package init() {}
}
