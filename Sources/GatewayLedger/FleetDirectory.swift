import GatewayCore

/// The fleet as one pod sees it, for operators.
package struct FleetSnapshot: Sendable, Equatable {
    /// Pods that beat lately, this one among them; by start time.
    package var pods: [PodView]
    package var orphans: [OrphanedStream]
    /// Position of the newest entry of the change log, as far as this pod knows.
    package var changeHead: Int64
    /// For how long the store has not answered. `nil`: it answers. Pods and orphans are then as last seen.
    package var storeUnreachableFor: Duration?

    package init(
        pods: [PodView], orphans: [OrphanedStream], changeHead: Int64, storeUnreachableFor: Duration?
    ) {
        self.pods = pods
        self.orphans = orphans
        self.changeHead = changeHead
        self.storeUnreachableFor = storeUnreachableFor
    }
}

/// Figures of fleet membership, for metrics and health. Cheap: nobody is asked.
package struct FleetHealth: Sendable, Equatable {
    /// Pods that beat lately, this one included, as last seen.
    package var pods: Int
    /// Changes that the store has and this pod has not put in force.
    package var changeLag: Int64
    package var changePosition: Int64
    /// Since the last beat that the store answered. `nil`: none was answered yet.
    package var beatAge: Duration?
    /// For how long the store has not answered. `nil`: it answers.
    package var storeUnreachableFor: Duration?
    /// The store has been away for longer than the configured grace: calls should go elsewhere.
    package var isBeyondGrace: Bool
    /// Whether this pod does the fleet's periodic jobs.
    package var holdsJobs: Bool

    package init(
        pods: Int, changeLag: Int64, changePosition: Int64, beatAge: Duration?, storeUnreachableFor: Duration?,
        isBeyondGrace: Bool, holdsJobs: Bool
    ) {
        self.pods = pods
        self.changeLag = changeLag
        self.changePosition = changePosition
        self.beatAge = beatAge
        self.storeUnreachableFor = storeUnreachableFor
        self.isBeyondGrace = isBeyondGrace
        self.holdsJobs = holdsJobs
    }
}

/// How far a change has come in the fleet.
package struct FleetWait: Sendable, Equatable {
    package struct Pod: Sendable, Equatable {
        package var name: String
        package var processID: Int32

        package init(name: String, processID: Int32) {
            self.name = name
            self.processID = processID
        }
    }
    /// The position that was waited for.
    package var position: Int64
    package var acknowledged: [Pod]
    /// Alive, but the change is not in force there yet.
    package var laggards: [Pod]
    /// Silent for so long that nobody waits for them.
    package var dead: [Pod]
    /// `false`: the store could not be asked, so nothing is known of the others.
    package var isKnown: Bool

    package init(position: Int64, acknowledged: [Pod], laggards: [Pod], dead: [Pod], isKnown: Bool) {
        self.position = position
        self.acknowledged = acknowledged
        self.laggards = laggards
        self.dead = dead
        self.isKnown = isKnown
    }

    package var isAcknowledged: Bool { self.isKnown && self.laggards.isEmpty }
}

/// What the control plane asks of the fleet.
package protocol FleetDirectory: Sendable {
    /// Never throws: while the store is away, what was seen last is told.
    func snapshot() async -> FleetSnapshot
    var health: FleetHealth { get }
    /// Something was changed here: makes this pod read its own entry of the change log and tell the others soon.
    func noteMutation()
    /// Waits until everything that is in the change log now is in force on all live pods, `timeout` at most.
    func waitForFleet(timeout: Duration) async -> FleetWait
}
