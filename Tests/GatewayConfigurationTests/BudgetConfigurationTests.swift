import GatewayConfiguration
import GatewayCore
import GatewayRouting
import Testing

@Suite("Budgets of the configuration")
struct BudgetConfigurationTests {
    private static func model(_ parameters: String, _ more: String = "") -> String {
        "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, api_key: k, \(parameters)}\n" + more
    }

    @Test("are read for deployments and providers, with their windows")
    func budgets() throws {
        let result = Fixture.load(
            Self.model(
                "max_budget: 1.5, budget_duration: 1d, rpm: 5, tpm: 0",
                """
                router_settings:
                  provider_budget_config: {openai: {budget_limit: 3, time_period: 30d}, groq: {max_budget: 0}}
                  optional_pre_call_checks: [enforce_model_rate_limits, router_budget_limiting]
                litellm_settings: {timezone: Europe/Warsaw}
                general_settings: {global_max_parallel_requests: 7}

                """))
        let settings = try #require(result.settings, "\(result.diagnostics)")
        let deployment = try #require(settings.routing.deployments.first)
        let budget = try #require(deployment.budgets.first)
        #expect(budget.limit == NanoUSD(rawValue: 1_500_000_000) && budget.label == "1d")
        #expect(budget.window == .calendar(.day, count: 1, timeZone: "Europe/Warsaw"))
        #expect(deployment.rates == [LimitRule(unit: .requests, window: .minute, value: 5)])
        let providers = settings.routing.providerBudgets
        #expect(providers.map(\.provider) == ["openai", "groq"])
        #expect(providers[0].budget.window == .calendar(.month, count: 1, timeZone: "Europe/Warsaw"))
        #expect(providers[1].budget.window == .lifetime && providers[1].budget.limit == .zero)
        #expect(settings.governance.parallelRequestsMax == 7)
        // Groq has no deployment, which is no error.
        #expect(result.diagnostics.map(\.keyPath) == ["router_settings.provider_budget_config.groq"])
    }

    @Test("say how all limits and budgets are kept that do not say it themselves")
    func standards() throws {
        let settings = try #require(
            Fixture.load(
                Self.model(
                    "rpm: 5",
                    """
                    litellm_settings: {budget_rollover: true}
                    general_settings: {rate_limit_window: sliding, token_rate_limit_type: output, max_parallel_requests: 9}

                    """)
            ).settings)
        #expect(settings.governance.limitsSlide && settings.governance.budgetsRollOver)
        #expect(settings.governance.tokenUnit == .outputTokens)
        #expect(settings.routing.deployments.map(\.limits.inFlightMax) == [9])
        let plain = try #require(
            Fixture.load(Self.model("rpm: 5", "general_settings: {max_parallel_requests: 0}\n")).settings)
        #expect(!plain.governance.limitsSlide && !plain.governance.budgetsRollOver)
        #expect(plain.governance.tokenUnit == .tokens && plain.routing.deployments.map(\.limits.inFlightMax) == [nil])
        for wrong in ["rate_limit_window: rolling", "token_rate_limit_type: all", "max_parallel_requests: -1"] {
            #expect(Fixture.load(Self.model("rpm: 5", "general_settings: {\(wrong)}\n")).settings == nil)
        }
    }

    @Test("leave rates as weights where the check is off")
    func weights() throws {
        let settings = try #require(Fixture.load(Self.model("rpm: 5")).settings)
        #expect(settings.routing.deployments.allSatisfy { $0.rates.isEmpty && $0.budgets.isEmpty })
        #expect(settings.governance.parallelRequestsMax == nil)
    }

    @Test(
        "are refused with errors in them",
        arguments: [
            "{openai: {time_period: 1d}}", "{openai: {budget_limit: -1}}", "{openai: {budget_limit: x}}",
            "{openai: {budget_limit: 1, time_period: often}}", "{openai: {budget_limit: 1, time_period: [1d]}}",
            "{openai: 5}", "[openai]",
        ])
    func wrong(budget: String) {
        let result = Fixture.load(Self.model("rpm: 1", "router_settings: {provider_budget_config: \(budget)}\n"))
        #expect(result.settings == nil)
    }

    @Test("and checks that are not made are refused", arguments: ["[prompt_caching]", "[[a]]"])
    func checks(list: String) {
        let result = Fixture.load(Self.model("rpm: 1", "router_settings: {optional_pre_call_checks: \(list)}\n"))
        #expect(result.settings == nil)
        #expect(Fixture.load(Self.model("max_budget: 1, budget_duration: soon")).settings == nil)
    }
}
