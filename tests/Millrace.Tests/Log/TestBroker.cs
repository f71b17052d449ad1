using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Millrace.Log;

namespace Millrace.Tests.Log;

/// <summary>A broker on a free port and a folder of its own, with its log lines kept.</summary>
internal sealed class TestBroker : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> _lines;

    private TestBroker(Broker broker, string folder, ConcurrentQueue<string> lines)
    {
        Broker = broker;
        Folder = folder;
        _lines = lines;
    }

    public Broker Broker { get; private set; }

    public string Folder { get; }

    public IReadOnlyCollection<string> Lines => _lines;

    public static async Task<TestBroker> StartAsync(Func<BrokerOptions, BrokerOptions>? change = null, string? folder = null)
    {
        folder ??= Directory.CreateTempSubdirectory("millrace-log-").FullName;
        var lines = new ConcurrentQueue<string>();
        var options = new BrokerOptions { DataFolder = folder, Port = 0, GroupInitialRebalanceDelay = TimeSpan.Zero };
        options = change?.Invoke(options) ?? options;
        var broker = await Broker.StartAsync(options, new Logs(lines), TimeProvider.System, default);
        return new TestBroker(broker, folder, lines);
    }

    public WireClient Connect() => new(Broker.Endpoint);

    /// <summary>Waits for a line of the log.</summary>
    public async Task<string> Line(string part)
    {
        var deadline = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(deadline) < TimeSpan.FromSeconds(20))
        {
            if (_lines.FirstOrDefault(l => l.Contains(part, StringComparison.Ordinal)) is { } line)
                return line;
            await Task.Delay(5);
        }
        throw new Xunit.Sdk.XunitException($"no line with '{part}' in:\n{string.Join('\n', _lines)}");
    }

    /// <summary>Stops the broker and starts another on the same folder.</summary>
    public async Task<TestBroker> RestartAsync(Func<BrokerOptions, BrokerOptions>? change = null)
    {
        await Broker.DisposeAsync();
        return await StartAsync(change, Folder);
    }

    public async ValueTask DisposeAsync()
    {
        await Broker.DisposeAsync();
        if (Directory.Exists(Folder))
            Directory.Delete(Folder, recursive: true);
    }

    private sealed class Logs(ConcurrentQueue<string> lines) : ILoggerFactory, ILogger
    {
        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Enqueue($"{logLevel}: {formatter(state, exception)} {exception}");

        public void Dispose()
        {
        }
    }
}
