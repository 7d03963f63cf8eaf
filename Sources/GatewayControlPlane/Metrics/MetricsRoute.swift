import GatewayAdmission
import GatewayCore

/// `GET /metrics` for Prometheus. Names are LiteLLM's where the figure is the same, so that its dashboards go on
/// working; all labels come from the configuration or a closed enum.
struct MetricsRoute: ControlRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [ControlRoute("GET", "/metrics", self.dependencies.metricsRequireKey ? .anyKey : .open, self.metrics)]
    }

    private func metrics(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let snapshot = await self.dependencies.metrics.metrics()
        let journal = await self.dependencies.journalStatus()
        var text = PrometheusText()
        MetricsRendering.pod(
            self.dependencies.pod, acceptsCalls: self.dependencies.readiness.acceptsCalls,
            keys: self.dependencies.keys.directory.count, to: &text)
        MetricsRendering.connections(snapshot, to: &text)
        MetricsRendering.journal(journal, to: &text)
        if let fleet = self.dependencies.fleet { MetricsRendering.fleet(fleet.health, to: &text) }
        if let queue = self.dependencies.queue { MetricsRendering.queue(queue.status, to: &text) }
        if let escrow = self.dependencies.escrow {
            MetricsRendering.softBudgets(escrow.softPassingCounts, to: &text)
        }
        MetricsRendering.responses(snapshot.responsesByStatus, to: &text)
        MetricsRendering.calls(snapshot.calls, to: &text)
        return ControlResponse(status: 200, contentType: PrometheusText.contentType, body: Array(text.text.utf8))
    }
}

/// Figures to Prometheus families. Pure.
enum MetricsRendering {
    static func pod(_ pod: PodIdentity, acceptsCalls: Bool, keys: Int, to text: inout PrometheusText) {
        text.family("litellm_build_info", .gauge, "Version that runs.")
        text.sample("litellm_build_info", [("version", pod.version), ("implementation", "martlet")], 1)
        text.family("process_start_time_seconds", .gauge, "Start of the process since the Unix epoch, seconds.")
        text.sample("process_start_time_seconds", [], decimalText(pod.startedAt.rawValue, decimals: 6))
        text.gauge("martlet_ready", "Whether the pod wants calls.", acceptsCalls ? 1 : 0)
        text.gauge("martlet_virtual_keys", "Keys in force on this pod, master key included.", Int64(keys))
    }

    static func connections(_ snapshot: MetricsSnapshot, to text: inout PrometheusText) {
        text.gauge("litellm_in_flight_requests", "Calls under way.", snapshot.callsInFlight)
        text.gauge("martlet_calls_waiting", "Calls that wait for a place at a deployment.", snapshot.callsWaiting)
        text.gauge("martlet_connections", "Open connections of callers.", snapshot.connectionsOpen)
        text.family("martlet_upstream_connections", .gauge, "Connections to providers.")
        text.sample("martlet_upstream_connections", [("state", "open")], snapshot.upstreamConnectionsOpen)
        text.sample("martlet_upstream_connections", [("state", "idle")], snapshot.upstreamConnectionsIdle)
    }

    static func journal(_ journal: JournalStatus, to text: inout PrometheusText) {
        text.gauge("martlet_journal_bytes", "Bytes in the journal.", journal.depthBytes)
        text.gauge("martlet_journal_lag_events", "Settlements that the store does not have yet.", journal.lagEvents)
        text.gauge("martlet_journal_open_intents", "Attempts without a settlement.", journal.openIntents)
        text.family("martlet_journal_applied_total", .counter, "Settlements that the store has.")
        text.sample("martlet_journal_applied_total", [], journal.applied)
        text.gauge("martlet_store_reachable", "Whether the store answered last time.", journal.isStoreReachable ? 1 : 0)
    }

    static func softBudgets(_ counts: [SubjectKind: Int64], to text: inout PrometheusText) {
        let name = "martlet_soft_budgets_passed_total"
        text.family(name, .counter, "Soft budgets that were passed, by whose they are; told by one pod each.")
        for (kind, count) in counts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            text.sample(name, [("subject", kind.name)], count)
        }
    }

    static func responses(_ byStatus: [Int: Int64], to text: inout PrometheusText) {
        let counts = byStatus.sorted { $0.key < $1.key }
        let total = "litellm_proxy_total_requests_metric_total"
        text.family(total, .counter, "Answers to callers by HTTP status.")
        for (status, count) in counts { text.sample(total, [("status_code", String(status))], count) }
        let failed = "litellm_proxy_failed_requests_metric_total"
        text.family(failed, .counter, "Answers to callers of status 400 and above.")
        for (status, count) in counts where status >= 400 {
            text.sample(failed, [("exception_status", String(status))], count)
        }
    }

    static func calls(_ calls: [CallMetrics], to text: inout PrometheusText) {
        let calls = calls.sorted {
            ($0.modelGroup, $0.provider, $0.deploymentID) < ($1.modelGroup, $1.provider, $1.deploymentID)
        }
        Self.outcomes(calls, to: &text)
        let histograms: [(name: String, help: String, path: KeyPath<CallMetrics, LatencyHistogram> & Sendable)] = [
            ("litellm_llm_api_latency_metric", "Attempts at providers, seconds.", \.duration),
            ("litellm_llm_api_time_to_first_token_metric", "First byte of an answer, seconds.", \.firstByte),
            ("litellm_overhead_latency_metric", "Time that the gateway added, seconds.", \.overhead),
        ]
        for (name, help, path) in histograms {
            text.family(name, .histogram, help)
            for call in calls { text.histogram(name, Self.labels(call), call[keyPath: path]) }
        }
        Self.tokens(calls, to: &text)
        text.family("litellm_spend_metric_total", .counter, "Cost of calls, US dollars.")
        for call in calls { text.sample("litellm_spend_metric_total", Self.labels(call), call.cost.decimalText) }
    }

    private static func outcomes(_ calls: [CallMetrics], to text: inout PrometheusText) {
        let attempts = "litellm_deployment_total_requests_total"
        text.family(attempts, .counter, "Attempts at a deployment.")
        for call in calls { text.sample(attempts, Self.labels(call), call.attemptsByOutcome.reduce(0, +)) }
        let success = "litellm_deployment_success_responses_total"
        text.family(success, .counter, "Attempts that finished.")
        for call in calls {
            text.sample(success, Self.labels(call), call.attemptsByOutcome[Int(AttemptOutcome.finished.rawValue)])
        }
        text.family("martlet_attempts_total", .counter, "Attempts at a deployment by outcome.")
        for call in calls {
            for outcome in AttemptOutcome.allCases {
                text.sample(
                    "martlet_attempts_total", Self.labels(call) + [("outcome", outcome.name)],
                    call.attemptsByOutcome[Int(outcome.rawValue)])
            }
        }
    }

    private static func tokens(_ calls: [CallMetrics], to text: inout PrometheusText) {
        let families: [(name: String, help: String, value: @Sendable (CallMetrics) -> Int64)] = [
            ("litellm_input_tokens_metric_total", "Input tokens, cached ones included.", { $0.inputTokens }),
            ("litellm_input_cached_tokens_metric_total", "Input tokens from a cache.", { $0.cachedInputTokens }),
            ("litellm_output_tokens_metric_total", "Output tokens.", { $0.outputTokens }),
            ("litellm_total_tokens_metric_total", "Input and output tokens.", { $0.inputTokens + $0.outputTokens }),
        ]
        for (name, help, value) in families {
            text.family(name, .counter, help)
            for call in calls { text.sample(name, Self.labels(call), value(call)) }
        }
    }

    private static func labels(_ call: CallMetrics) -> PrometheusText.Labels {
        [("model_group", call.modelGroup), ("api_provider", call.provider), ("model_id", call.deploymentID)]
    }
}
