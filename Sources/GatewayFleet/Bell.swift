/// Wakes one loop. Rings that nobody has heard yet are one ring.
struct Bell: Sendable {
    /// For one loop; ends when the loop's task is cancelled.
    let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (self.rings, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func ring() { self.continuation.yield() }
}
