using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Millrace.Tests.Streams;

/// <summary>Logs of a test, with times, to the file that MILLRACE_TEST_LOG names; nowhere without it.</summary>
internal sealed class TestLogs : ILoggerFactory, ILogger
{
    private static readonly string? Path = Environment.GetEnvironmentVariable("MILLRACE_TEST_LOG");
    private static readonly Stopwatch Clock = Stopwatch.StartNew();
    private static readonly Lock Gate = new();

    public static ILoggerFactory Factory { get; } = Path is null ? NullLoggerFactory.Instance : new TestLogs();

    public static void Note(string text)
    {
        if (Path is null)
            return;
        lock (Gate)
            File.AppendAllText(Path, $"{Clock.Elapsed.TotalSeconds:0.000} {text}\n");
    }

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Note($"{logLevel} {formatter(state, exception)} {exception}");
}
