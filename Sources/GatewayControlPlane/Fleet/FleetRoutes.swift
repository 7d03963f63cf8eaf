import GatewayCore
import GatewayLedger

/// `GET /fleet`: every pod of the fleet, journals of dead pods with what may be lost with them, and how far the change
/// log reaches; with the Redis transport, who writes and what waits. Answers while the store is away with what was seen
/// last.
struct FleetRoutes: ControlRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] { [ControlRoute("GET", "/fleet", .admin, self.fleet)] }

    private func fleet(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let snapshot: FleetSnapshot
        if let fleet = self.dependencies.fleet {
            snapshot = await fleet.snapshot()
        } else {
            snapshot = await self.alone()
        }
        let queue = await self.dependencies.queue?.refreshedStatus()
        return ControlReply.object(
            [
                JSONMember("pods", .array(snapshot.pods.map(Self.pod))),
                JSONMember("orphans", .array(snapshot.orphans.map(Self.orphan))),
                JSONMember("change_head", .integer(snapshot.changeHead)),
                JSONMember(
                    "store_unreachable_ms", snapshot.storeUnreachableFor.map { .integer($0.milliseconds) } ?? .null),
            ] + (queue.map { [JSONMember("redis", Self.queue($0))] } ?? []))
    }

    /// As this pod sees it: `holder` is the pod that writes for all, `mode` how the rows of the pod that answers travel.
    private static func queue(_ status: QueueStatus) -> JSONValue {
        .object([
            JSONMember("holder", .optional(status.holder)),
            JSONMember("token", status.token.map { .integer($0) } ?? .null),
            JSONMember("queue_depth", .integer(Int64(status.depth))),
            JSONMember("in_work", .integer(Int64(status.inWork))),
            JSONMember("oldest_batch_age_ms", status.oldestAge.map { .integer($0.milliseconds) } ?? .null),
            JSONMember("is_holder", .bool(status.isHolder)), JSONMember("mode", .string(status.mode.rawValue)),
            JSONMember("error", .optional(status.lastError)),
        ])
    }

    /// The pod that answers is the only one, and it answers now.
    private func alone() async -> FleetSnapshot {
        let journal = await self.dependencies.journalStatus()
        let pod = self.dependencies.pod
        let position = self.dependencies.changePosition()
        let none = UUIDBits(high: 0, low: 0)
        let beat = PodBeat(
            podID: PodID(none), name: pod.name, processID: pod.processID, version: pod.version,
            startedAt: pod.startedAt, journal: JournalID(none), applied: journal.applied, changePosition: position,
            journalBytes: journal.depthBytes, connections: 0)
        return FleetSnapshot(
            pods: [PodView(beat: beat, beatAge: .zero)], orphans: [], changeHead: position, storeUnreachableFor: nil)
    }

    private static func pod(_ view: PodView) -> JSONValue {
        .object([
            JSONMember("name", .string(view.beat.name)), JSONMember("pid", .integer(view.beat.processID)),
            JSONMember("version", .string(view.beat.version)),
            JSONMember("started_at", .string(view.beat.startedAt.iso8601)),
            JSONMember("beat_age_ms", .integer(view.beatAge.milliseconds)),
            JSONMember("applied", .integer(view.beat.applied)),
            JSONMember("change_position", .integer(view.beat.changePosition)),
            JSONMember("journal_bytes", .integer(view.beat.journalBytes)),
            JSONMember("connections", .integer(view.beat.connections)),
        ])
    }

    private static func orphan(_ stream: OrphanedStream) -> JSONValue {
        .object([
            JSONMember("journal", .string(stream.journal.text)), JSONMember("stream_id", .integer(stream.streamID)),
            JSONMember("state", .string(stream.state.rawValue)), JSONMember("pod", .optional(stream.podName)),
            JSONMember("beat_age_ms", .integer(stream.beatAge.milliseconds)),
            JSONMember("applied", .integer(stream.applied)),
            // What its pod spent in a minute: its journal holds a second or so that is not in the store, seldom more.
            JSONMember("at_risk_usd_per_minute", .money(stream.spendOfLastMinute)),
        ])
    }
}
