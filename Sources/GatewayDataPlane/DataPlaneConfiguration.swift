/// Bounds and timeouts of the data plane. Every queue, body and wait has one.
package struct DataPlaneConfiguration: Sendable, Equatable {
    package var host = "127.0.0.1"
    /// 0: any free port (the one taken is reported).
    package var port = 4000
    /// Event loops; 0: one per processor this process may use.
    package var eventLoops = 0
    /// PEM files of the server's certificate chain and key; TLS is spoken when both are given.
    package var certificateFile: String?
    package var keyFile: String?
    package var requestBodyBytesMax = 64 << 20
    /// All request bodies held at once, over all connections.
    package var requestBodiesBytesMax = 1 << 30
    /// Answers that are not streams are held back up to this size, so that cost and spend can go into the headers.
    package var answerHeldBytesMax = 4 << 20
    package var headBytesMax = 32 << 10
    package var connectionsMax = 20_000
    /// Whole head and whole body of a request must arrive within these.
    /// A connection on which nothing has been asked yet, a TLS handshake included, is closed after `headTimeout`, too.
    package var headTimeout: Duration = .seconds(15)
    package var bodyTimeout: Duration = .seconds(25)
    /// A body that makes progress may take longer than `bodyTimeout`: this many bytes extend it by a second.
    package var bodyBytesPerSecondMin = 64 << 10
    package var keepAliveTimeout: Duration = .seconds(300)
    /// The control plane has to answer a management request within this.
    package var controlTimeout: Duration = .seconds(60)
    /// A caller that does not read its answer is cut after this long without progress.
    package var writeTimeout: Duration = .seconds(60)
    package var connectTimeout: Duration = .seconds(5)
    package var firstByteTimeout: Duration = .seconds(600)
    /// Between two reads of an answer.
    package var idleTimeout: Duration = .seconds(300)
    package var totalTimeout: Duration = .seconds(6000)
    /// Per deployment and pod.
    package var inFlightMax = 10_000
    package var waitingMax = 1_000
    package var waitingTimeout: Duration = .seconds(30)
    /// A call waits this long at most for the store to say whether a budget or limit has room for it.
    package var admittingTimeout: Duration = .milliseconds(300)
    /// Per event loop.
    package var admittingMax = 2_000
    /// Output tokens that a call may use whose model has no known cap and which names none; for `strict` budgets.
    package var outputTokensCap = 32_768
    /// Searches of the web that a call may make which names a tool for it, but no bound; for `strict` budgets.
    package var webSearchesCap = 10
    /// Where a strict budget affords fewer output tokens than a call may use, but so many at least, the call's bound is
    /// lowered to them; 0: the call is refused.
    package var clampedOutputTokensMin = 0
    /// What budgets and limits would refuse is logged and served.
    package var admissionIsShadow = false
    /// Idle upstream connections kept per event loop and address.
    package var idleUpstreamConnectionsMax = 512
    package var upstreamKeepAlive: Duration = .seconds(55)
    /// A connection to a name is not used again after this long, so that a changed address is taken up; each new
    /// connection looks the name up.
    package var resolutionLifetime: Duration = .seconds(300)
    /// On SIGTERM running calls get this long.
    package var drainTimeout: Duration = .seconds(30)

    package init() {}
}
