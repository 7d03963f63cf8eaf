/// Times and places of a fleet of pods, and how long usage rows are kept.
package struct FleetSettings: Sendable, Hashable {
    /// With PostgreSQL away for longer, a pod calls itself unfit.
    package var grace: Duration = .seconds(900)
    /// A pod that has not beaten for this long is taken for dead.
    package var deadAfter: Duration = .seconds(5)
    /// The journal of a dead pod is written off after this time.
    package var holdFor: Duration = .seconds(900)
    /// Directory below which the journals of dead pods are looked for. `nil`: none are adopted.
    package var adoptionDirectory: String?
    /// Usage rows older than this are deleted; what they cost stays in all sums. `nil`: all are kept.
    package var retention: Duration?

    package init() {}
}
