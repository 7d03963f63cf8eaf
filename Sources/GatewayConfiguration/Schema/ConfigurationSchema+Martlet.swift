extension ConfigurationSchema {
    static let martletKeys: [Key] = Self.martletOptions.map {
        Key(name: $0.name, kind: $0.kind, treatment: .supported($0.summary))
    }

    static let martletOptions: [MartletOption] = join(
        Self.listenerOptions,
        Self.boundOptions,
        Self.timeoutOptions,
        Self.ledgerOptions,
        Self.fleetOptions,
        Self.redisOptions,
        Self.admissionOptions,
        Self.responseOptions,
        Self.operationOptions)

    /// A year; longer waits are mistakes in the unit.
    private static let secondsRange: ClosedRange<Double> = 0.001...31_536_000
    private static let bytes: ClosedRange<Int> = 1024...(1 << 40)

    private static let listenerOptions: [MartletOption] = [
        .init("host", .text(\.dataPlane.host), "Address to listen on."),
        .init("port", .integer(\.dataPlane.port, 0...65_535), "Port to listen on; 0: any free one."),
        .init(
            "event_loops", .integer(\.dataPlane.eventLoops, 0...1024),
            "Threads that serve calls; 0: one per processor."),
        .init(
            "tls_certificate_file", .optionalText(\.dataPlane.certificateFile),
            "PEM file of the certificate chain; with `tls_key_file`, TLS is spoken."),
        .init("tls_key_file", .optionalText(\.dataPlane.keyFile), "PEM file of the certificate's key."),
    ]

    private static let boundOptions: [MartletOption] = [
        .init(
            "request_body_bytes_max", .integer(\.dataPlane.requestBodyBytesMax, Self.bytes),
            "Body of one request."),
        .init(
            "request_bodies_bytes_max", .integer(\.dataPlane.requestBodiesBytesMax, Self.bytes),
            "All bodies of requests held at once."),
        .init(
            "answer_held_bytes_max", .integer(\.dataPlane.answerHeldBytesMax, 0...(1 << 30)),
            "Answers up to this size are held back so that cost and spend can go into their headers."),
        .init(
            "head_bytes_max", .integer(\.dataPlane.headBytesMax, 1024...(1 << 20)),
            "Request line and headers."),
        .init(
            "connections_max", .integer(\.dataPlane.connectionsMax, 1...10_000_000),
            "Callers' connections."),
        .init(
            "body_bytes_per_second_min", .integer(\.dataPlane.bodyBytesPerSecondMin, 1...(1 << 30)),
            "A body that comes at least this fast may take longer than `body_timeout_seconds`."),
        .init(
            "in_flight_max", .integer(\.dataPlane.inFlightMax, 1...10_000_000),
            "Calls at one deployment at once."),
        .init(
            "waiting_max", .integer(\.dataPlane.waitingMax, 0...10_000_000),
            "Calls that wait for one deployment."),
        .init(
            "idle_upstream_connections_max",
            .integer(\.dataPlane.idleUpstreamConnectionsMax, 0...1_000_000),
            "Idle connections kept per event loop and provider address."),
    ]

    private static let timeoutOptions: [MartletOption] = [
        .init(
            "head_timeout_seconds", Self.seconds(\.dataPlane.headTimeout),
            "Whole head of a request; also the wait for the first one on a connection, TLS handshake included."),
        .init(
            "body_timeout_seconds", Self.seconds(\.dataPlane.bodyTimeout), "Whole body of a request."),
        .init(
            "keep_alive_timeout_seconds", Self.seconds(\.dataPlane.keepAliveTimeout),
            "Idle caller's connection."),
        .init(
            "control_timeout_seconds", Self.seconds(\.dataPlane.controlTimeout),
            "Answer to a management request."),
        .init(
            "write_timeout_seconds", Self.seconds(\.dataPlane.writeTimeout), "Caller that does not read."),
        .init(
            "connect_timeout_seconds", Self.seconds(\.dataPlane.connectTimeout),
            "Connection to a provider, with TLS."),
        .init(
            "first_byte_timeout_seconds", Self.seconds(\.dataPlane.firstByteTimeout),
            "First byte of an answer."),
        .init(
            "idle_timeout_seconds", Self.seconds(\.dataPlane.idleTimeout),
            "Between two reads of an answer."),
        .init(
            "total_timeout_seconds", Self.seconds(\.dataPlane.totalTimeout),
            "Whole attempt; wins over `router_settings.timeout`."),
        .init(
            "waiting_timeout_seconds", Self.seconds(\.dataPlane.waitingTimeout),
            "Wait for a place at a deployment."),
        .init(
            "upstream_keep_alive_seconds", Self.seconds(\.dataPlane.upstreamKeepAlive),
            "Idle provider's connection."),
        .init(
            "resolution_lifetime_seconds", Self.seconds(\.dataPlane.resolutionLifetime),
            "A connection to a name ends after this long, so that a changed address is taken up."),
        .init(
            "drain_timeout_seconds", Self.seconds(\.dataPlane.drainTimeout),
            "Running calls after SIGTERM."),
    ]

    private static let ledgerOptions: [MartletOption] = [
        .init(
            "data_directory", .text(\.dataDirectory),
            "Directory of the journal and the SQLite file; `--data` wins."),
        .init(
            "journal_bytes_max", .integer(\.ledger.journalBytesMax, (256 << 10)...(1 << 40)),
            "All of the journal; at this bound metered calls are refused."),
        .init(
            "journal_segment_bytes", .integer(\.ledger.journalSegmentBytes, 65_536...(1 << 30)),
            "One file of the journal; at most a quarter of `journal_bytes_max`."),
        .init(
            "journal_sync_interval_milliseconds",
            .duration(\.ledger.syncInterval, .milliseconds, 1...10_000),
            "Between two syncs of the journal to disk."),
        .init(
            "ledger_tick_interval_milliseconds",
            .duration(\.ledger.tickInterval, .milliseconds, 10...60_000),
            "Between two shipments to the store."),
        .init(
            "orphan_output_tokens", .integer(\.ledger.orphanOutputTokens, 0...10_000_000),
            "Output tokens charged for a call that was in flight when its pod died, where its body sets no bound."
        ),
    ]

    private static let fleetOptions: [MartletOption] = [
        .init(
            "fleet_grace_seconds", Self.seconds(\.fleet.grace),
            "With PostgreSQL away for longer, `/readyz` says 503, so that calls go to pods that reach it."),
        .init(
            "fleet_dead_after_seconds", .duration(\.fleet.deadAfter, .seconds, 3...3600),
            "A pod that PostgreSQL has not heard of for this long is taken for dead: its journal is fenced, and nobody "
                + "waits for it. The same on all pods."),
        .init(
            "fleet_hold_seconds", Self.seconds(\.fleet.holdFor),
            "The journal of a dead pod is called written off after this time; its rows are still taken if it turns up."),
        .init(
            "adopt_journals_from", .optionalText(\.fleet.adoptionDirectory),
            "With PostgreSQL: a directory on this machine below which other pods have their data directories. Journals "
                + "there whose pods are dead are shipped and removed."),
    ]

    private static let redisOptions: [MartletOption] = [
        .init(
            "redis_direct_after_seconds", .integer(\.redisDirectAfterSeconds, 0...86_400),
            "With `use_redis_transaction_buffer`: rows that do not come through Redis for so long go straight into "
                + "PostgreSQL, until Redis works again; 0: never, they wait in the journal."),
        .init(
            "redis_writer_interval_milliseconds", .duration(\.redisTransport.writerInterval, .milliseconds, 10...5000),
            "With `use_redis_transaction_buffer`: how long the writer gathers rows of all pods for one transaction."),
    ]

    private static let admissionOptions: [MartletOption] = [
        .init(
            "budgets_are_strict", .boolean(\.governance.budgetsAreStrict),
            "Budgets that do not say how they are kept (`budget_mode`) are never passed: a call reserves the most that "
                + "it can cost, not what it is expected to cost. Read at start."),
        .init(
            "admission_is_shadow", .boolean(\.dataPlane.admissionIsShadow),
            "Calls that a budget or limit would refuse are logged and served. Read at start."),
        .init(
            "admission_timeout_milliseconds",
            .duration(\.dataPlane.admittingTimeout, .milliseconds, 1...60_000),
            "Wait for the store where this pod's slice of a budget or limit is used up."),
        .init(
            "clamp_output_tokens_min", .integer(\.dataPlane.clampedOutputTokensMin, 0...100_000_000),
            "Where a strict budget affords fewer output tokens than a call may use, but so many at least, the call's "
                + "`max_tokens` is lowered to them; 0: the call is refused. Read at start."),
        .init(
            "output_tokens_cap", .integer(\.dataPlane.outputTokensCap, 1...100_000_000),
            "Output tokens that strict budgets reserve for a call that sets no bound, to a model whose bound is not "
                + "known."),
        .init(
            "web_searches_cap", .integer(\.dataPlane.webSearchesCap, 0...10_000),
            "Searches of the web that strict budgets reserve for a call that lets the model search and sets no bound."),
    ]

    private static let responseOptions: [MartletOption] = [
        .init(
            "responses_are_stored", .boolean(\.responses.isOn),
            "What `/v1/responses` answers is kept, unless the call says `\"store\": false`, so that "
                + "`previous_response_id`, `GET` and `DELETE` work on every pod. Read at start, as are the next."),
        .init(
            "response_retention_days", .integer(\.responseRetentionDays, 1...3650),
            "Kept responses are deleted after so many days."),
        .init(
            "response_bytes_max", .integer(\.responses.turnBytesMax, 1024...(64 << 20)),
            "Request and answer of one kept response together; larger ones are not kept."),
        .init(
            "response_turns_max", .integer(\.responses.turnsMax, 1...10_000),
            "Responses of one conversation that `previous_response_id` goes on from."),
        .init(
            "response_conversation_bytes_max", .integer(\.responses.conversationBytesMax, 1024...(256 << 20)),
            "All turns of such a conversation together."),
    ]

    private static let operationOptions: [MartletOption] = [
        .init("log_level", .logLevel, "How much is logged."),
        .init("log_json", .boolean(\.logsAreJSON), "One JSON object per log line."),
        .init("metrics_require_key", .boolean(\.metricsRequireKey), "`/metrics` asks for a key."),
        .init(
            "price_catalogue_file", .optionalText(\.priceCatalogueFile),
            "Price catalogue in our format instead of the shipped one."),
    ]

    private static func seconds(_ path: WritableKeyPath<Settings, Duration> & Sendable)
        -> MartletOption.Place
    {
        .duration(path, .seconds, self.secondsRange)
    }
}
