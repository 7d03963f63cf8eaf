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

    private static func seconds(_ duration: Duration) -> String { decimalText(duration.milliseconds, decimals: 3) }
}

extension Duration {
    /// Whole milliseconds; those of the fleet are far below the bound of the type.
    var milliseconds: Int64 { self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000 }
}
