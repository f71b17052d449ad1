namespace Millrace.Tests.Streams;

/// <summary>Facts that need a broker with consumer groups: the embedded one where it has them, else that of MILLRACE_TEST_BROKERS.</summary>
internal static class BrokerNeeded
{
    public static string? Skip { get; } =
        Environment.GetEnvironmentVariable("MILLRACE_TEST_BROKERS") is not null
        || typeof(Millrace.Log.Broker).Assembly.GetTypes().Any(t => t.Namespace?.StartsWith("Millrace.Log.Groups", StringComparison.Ordinal) == true)
            ? null
            : "needs consumer groups in the broker (or MILLRACE_TEST_BROKERS)";
}

internal sealed class BrokerFactAttribute : FactAttribute
{
    public BrokerFactAttribute() => Skip = BrokerNeeded.Skip;
}

internal sealed class BrokerTheoryAttribute : TheoryAttribute
{
    public BrokerTheoryAttribute() => Skip = BrokerNeeded.Skip;
}
