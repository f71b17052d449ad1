using Millrace.Host.Settings;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Host.Platform;

/// <summary>What the linter knows of this installation: brokers and alert targets.</summary>
internal static class LintWorld
{
    public static LintContext Of(PlatformSettings settings) => new()
    {
        Brokers = settings.BrokersOrOwn,
        Targets = settings.Targets.ToDictionary(t => t.Key, t => (AlertTarget)new AlertTarget.Webhook(t.Key, t.Value)),
    };
}
