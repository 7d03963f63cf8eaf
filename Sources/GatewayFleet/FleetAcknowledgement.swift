import GatewayLedger

/// Waits until a change is in force on every live pod.
///
///     our log is read ─► our beat tells it ─► pods are looked at after 20, 40, 80, 100, 100 ... ms until all have it
///
/// The others beat at once when they have put something in force, so this takes tens of milliseconds.
package struct FleetAcknowledgement: Sendable {
    private static let firstPause = Duration.milliseconds(20)
    private static let longestPause = Duration.milliseconds(100)
    /// Pods that were silent for longer than this are not even named.
    private static let nameDeadWithin = Duration.seconds(60)

    private let store: any FleetStore
    private let member: FleetMember
    private let feed: ChangeFeed
    private let deadAfter: Duration
    private let time: FleetTime

    package init(
        store: any FleetStore, member: FleetMember, feed: ChangeFeed, configuration: FleetConfiguration,
        time: FleetTime
    ) {
        self.store = store
        self.member = member
        self.feed = feed
        self.deadAfter = configuration.deadAfter
        self.time = time
    }

    /// Waits for everything that is in the change log now, `timeout` at most. Never throws: what cannot be asked is not
    /// known.
    package func waitForFleet(timeout: Duration) async -> FleetWait {
        let deadline = self.time.now() + timeout
        var pause = Self.firstPause
        while !Task.isCancelled {
            do throws(LedgerError) {
                let position = try await self.feed.catchUp()
                return await self.wait(for: position, until: deadline)
            } catch {
                guard await self.pauses(pause, before: deadline) else { break }
                pause = min(pause * 2, Self.longestPause)
            }
        }
        return FleetWait(
            position: self.member.currentBeat.changePosition, acknowledged: [], laggards: [], dead: [], isKnown: false)
    }

    /// Waits until `position` is in force on every live pod, `timeout` at most.
    package func waitForFleet(position: Int64, timeout: Duration) async -> FleetWait {
        await self.wait(for: position, until: self.time.now() + timeout)
    }

    private func wait(for position: Int64, until deadline: Duration) async -> FleetWait {
        self.member.beatSoon()
        var pause = Self.firstPause
        var last = FleetWait(position: position, acknowledged: [], laggards: [], dead: [], isKnown: false)
        repeat {
            if let pods = try? await self.store.pods(seenWithin: Self.nameDeadWithin) {
                last = Self.judge(pods, own: self.member.currentBeat, position: position, deadAfter: self.patience)
                if last.isAcknowledged { return last }
            }
            let isTime = await self.pauses(pause, before: deadline)
            guard isTime else { break }
            pause = min(pause * 2, Self.longestPause)
        } while !Task.isCancelled
        return last
    }

    /// How long a pod may have been silent and still be waited for. When the store was away until a moment ago, nobody
    /// could beat, and silence tells nothing yet.
    private var patience: Duration {
        let reachable = self.member.status.storeReachableFor ?? .zero
        return reachable > self.deadAfter ? self.deadAfter : Self.nameDeadWithin
    }

    /// `false`: there is no time left, or the task is cancelled.
    private func pauses(_ pause: Duration, before deadline: Duration) async -> Bool {
        let left = deadline - self.time.now()
        guard left > .zero else { return false }
        do { try await self.time.sleep(min(pause, left)) } catch { return false }
        return true
    }

    /// Who has `position` in force. Pure. This pod counts by what it knows itself, whatever the store last heard. Former
    /// runs of pods that are back are neither waited for nor named.
    static func judge(_ pods: [PodView], own: PodBeat, position: Int64, deadAfter: Duration) -> FleetWait {
        var wait = FleetWait(position: position, acknowledged: [], laggards: [], dead: [], isKnown: true)
        let others = pods.filter { $0.beat.podID != own.podID && $0.beat.journal != own.journal }
        for view in [PodView(beat: own, beatAge: .zero)] + others.withoutFormerRuns {
            let pod = FleetWait.Pod(name: view.beat.name, processID: view.beat.processID)
            if view.beatAge > deadAfter {
                wait.dead.append(pod)
            } else if view.beat.changePosition >= position {
                wait.acknowledged.append(pod)
            } else {
                wait.laggards.append(pod)
            }
        }
        return wait
    }
}
