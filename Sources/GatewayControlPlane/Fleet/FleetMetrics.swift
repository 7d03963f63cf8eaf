import GatewayLedger

extension MetricsRendering {
    static func fleet(_ health: FleetHealth, to text: inout PrometheusText) {
        text.gauge("martlet_fleet_pods", "Pods that beat lately, this one included.", Int64(health.pods))
        text.gauge("martlet_change_position", "Last change that is in force on this pod.", health.changePosition)
        text.gauge(
            "martlet_change_lag", "Changes that the store has and this pod has not put in force.", health.changeLag)
        text.gauge(
            "martlet_fleet_jobs_held", "Whether this pod does the fleet's periodic jobs.", health.holdsJobs ? 1 : 0)
        text.family("martlet_beat_age_seconds", .gauge, "Since the last beat that the store answered.")
        if let age = health.beatAge { text.sample("martlet_beat_age_seconds", [], Self.seconds(age)) }
        text.family("martlet_store_unreachable_seconds", .gauge, "For how long the store has not answered.")
        text.sample("martlet_store_unreachable_seconds", [], Self.seconds(health.storeUnreachableFor ?? .zero))
    }

    static func queue(_ status: QueueStatus, to text: inout PrometheusText) {
        text.gauge("martlet_queue_batches", "Batches that wait in Redis.", Int64(status.depth))
        text.gauge("martlet_queue_in_work", "Batches that a writer has taken and not finished.", Int64(status.inWork))
        text.family("martlet_queue_oldest_seconds", .gauge, "Age of the oldest batch in Redis.")
        text.sample("martlet_queue_oldest_seconds", [], Self.seconds(status.oldestAge ?? .zero))
        text.gauge("martlet_queue_token", "Fencing token of the writer; 0: none is known.", status.token ?? 0)
        text.gauge("martlet_queue_writer", "Whether this pod writes for the fleet.", status.isHolder ? 1 : 0)
        text.gauge("martlet_queue_reachable", "Whether Redis answered last time.", status.lastError == nil ? 1 : 0)
        text.gauge(
            "martlet_queue_direct", "Whether this pod writes into the store by itself.", status.mode == .direct ? 1 : 0)
        let appends = "martlet_queue_appends_total"
        text.family(appends, .counter, "Stored appends of this pod by their way.")
        text.sample(appends, [("way", "queue")], status.queuedTotal)
        text.sample(appends, [("way", "direct")], status.directTotal)
        text.family("martlet_queue_commits_total", .counter, "Transactions of this pod as the writer.")
        text.sample("martlet_queue_commits_total", [], status.commitsTotal)
        text.family("martlet_queue_refused_total", .counter, "Batches that this pod, as the writer, could not read.")
        text.sample("martlet_queue_refused_total", [], status.refusedTotal)
    }

    private static func seconds(_ duration: Duration) -> String { decimalText(duration.milliseconds, decimals: 3) }
}

extension Duration {
    /// Whole milliseconds; those of the fleet are far below the bound of the type.
    var milliseconds: Int64 { self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000 }
}
