import GatewayCore

extension UsageEvent {
    /// Names of the fields in which two events differ, payer and route by their content.
    package func differences(from other: UsageEvent) -> [String] {
        let fields: [(String, Bool)] = [
            ("request_id", self.requestID == other.requestID), ("attempt", self.attempt == other.attempt),
            ("key", self.payer.keyID == other.payer.keyID && self.payer.digest == other.payer.digest),
            ("user", self.payer.userID == other.payer.userID), ("team", self.payer.teamID == other.payer.teamID),
            ("model_group", self.route.modelGroup == other.route.modelGroup),
            ("model", self.route.model == other.route.model),
            ("provider", self.route.provider == other.route.provider),
            ("deployment", self.route.deploymentID == other.route.deploymentID),
            ("price_version", self.route.priceVersion == other.route.priceVersion),
            ("kind", self.kind == other.kind), ("stream", self.isStream == other.isStream),
            ("started_at", self.startedAt == other.startedAt),
            ("duration", self.durationMicroseconds == other.durationMicroseconds),
            ("first_byte", self.firstByteMicroseconds == other.firstByteMicroseconds),
            ("usage", self.usage == other.usage), ("service_tier", self.serviceTier == other.serviceTier),
            ("cost", self.cost == other.cost), ("status", self.status == other.status),
            ("outcome", self.outcome == other.outcome), ("flags", self.flags == other.flags),
            ("end_user", self.endUser == other.endUser),
        ]
        return fields.compactMap { $0.1 ? nil : $0.0 }
    }
}
