using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Millrace.Host.Platform;

/// <summary>Logs on standard error: one line each, or JSON objects (MILLRACE_LOG_FORMAT=json) for log shippers.</summary>
internal static class PlatformLogs
{
    /// <summary>Levels: MILLRACE_LOG = trace, debug, information, warning, error or none; <paramref name="quiet"/> raises the default to warning.</summary>
    public static ILoggerFactory Create(bool quiet)
    {
        var level = Enum.TryParse<LogLevel>(Environment.GetEnvironmentVariable("MILLRACE_LOG"), ignoreCase: true, out var chosen)
            ? chosen
            : quiet ? LogLevel.Warning : LogLevel.Information;
        return LoggerFactory.Create(builder =>
        {
            builder.SetMinimumLevel(level);
            // The web server's own start-up lines say nothing that ours do not.
            builder.AddFilter("Microsoft", LogLevel.Warning);
            // A start that failed is told by the command, in a sentence.
            builder.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
            if (Environment.GetEnvironmentVariable("MILLRACE_LOG_FORMAT") == "json")
            {
                builder.AddJsonConsole(o => o.UseUtcTimestamp = true);
            }
            else
            {
                builder.AddSimpleConsole(o =>
                {
                    o.SingleLine = true;
                    o.UseUtcTimestamp = true;
                    o.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                    o.ColorBehavior = Console.IsErrorRedirected ? LoggerColorBehavior.Disabled : LoggerColorBehavior.Default;
                });
            }
            builder.Services.Configure<ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
        });
    }
}
