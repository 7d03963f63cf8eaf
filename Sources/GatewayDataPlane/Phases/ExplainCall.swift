import GatewayAdmission
import GatewayCore

/// `x-martlet-dry-run`: the answer is that of `POST /utils/admission` for this call, with what it would reserve. Nothing
/// is reserved, and nothing is sent to a provider.
extension Call {
    func explain(_ group: TargetGroup) {
        var demand = CallDemand(costMax: 0, costExpected: 0, inputTokens: 0, outputTokens: 0)
        let learned = self.loop.gate.flatMap { gate in
            let paths = gate.paths(of: self.key, rules: self.path, at: self.loop.nanoseconds())
            return gate.expectedOutput(paths, model: self.modelName)
        }
        var parts: [String] = []
        for target in group.targets {
            let part = self.demand(at: target, learned: learned, isStrict: true)
            demand.grow(to: part)
            parts.append("\(jsonQuoted(target.deployment.configuration.deploymentID)):\(Self.text(of: part))")
        }
        let user = self.endUser.map { jsonQuoted($0) } ?? "null"
        let tags = self.tags.map { jsonQuoted($0) }.joined(separator: ",")
        self.phase = .done
        self.caller.explain(
            self,
            body: "{\"model\":\(jsonQuoted(self.modelName)),\"group\":\(jsonQuoted(group.name)),\"user\":\(user),"
                + "\"tags\":[\(tags)],\"demand\":\(Self.text(of: demand)),\"deployments\":{"
                + parts.joined(separator: ",") + "}}")
    }

    private static func text(of demand: CallDemand) -> String {
        "{\"cost_max\":\(demand.costMax),\"cost_expected\":\(demand.costExpected),"
            + "\"input_tokens\":\(demand.inputTokens),\"output_tokens\":\(demand.outputTokens)}"
    }
}
