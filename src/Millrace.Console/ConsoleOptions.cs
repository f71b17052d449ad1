using System.Net;
using System.Net.Security;

namespace Millrace.WebConsole;

/// <summary>Where the console listens, and every bound that it keeps.</summary>
public sealed record ConsoleOptions
{
    /// <summary>Loopback unless the user says otherwise: without <see cref="Seams.ConsoleServices.Access"/> there is no login.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>0 takes a free port.</summary>
    public int Port { get; init; } = 8080;

    /// <summary>Names that a Host header may carry beside localhost and IP addresses (a guard against DNS rebinding).</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>The certificate and its chain; null speaks in the clear.</summary>
    public SslStreamCertificateContext? Certificate { get; init; }

    /// <summary>A browser logs in again after so long.</summary>
    public TimeSpan SessionLength { get; init; } = TimeSpan.FromHours(12);

    /// <summary>Sessions, and logins of other clients, that are remembered.</summary>
    public int MaxSessions { get; init; } = 10_000;

    /// <summary>A failed login is answered so much later.</summary>
    public TimeSpan FailedLoginDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>The built page; null looks at MILLRACE_CONSOLE, then for <c>wwwroot</c> beside the assembly.</summary>
    public string? Pages { get; init; }

    /// <summary>Open connections of any kind.</summary>
    public int MaxConnections { get; init; } = 512;

    /// <summary>Bytes of a request's body.</summary>
    public int MaxBodyBytes { get; init; } = 1 << 20;

    /// <summary>Rows that one SQL answer may carry; a request asks for fewer with <c>maxRows</c>.</summary>
    public int MaxSqlRows { get; init; } = 10_000;

    /// <summary>Bytes of one SQL answer's rows; the answer is cut after the row that passes it and says so.</summary>
    public int MaxSqlBytes { get; init; } = 16 << 20;

    /// <summary>Bytes of a record's value that a topic page shows.</summary>
    public int MaxValueBytes { get; init; } = 16 << 10;

    /// <summary>Least time between two events of one kind on one connection.</summary>
    public TimeSpan FrameInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>How often the status is looked at for what no notice tells (rates that fall to zero, CPU).</summary>
    public TimeSpan SlowLook { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Time between two samples of the history that the page's charts start with.</summary>
    public TimeSpan HistoryEvery { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Samples that are kept.</summary>
    public int HistorySamples { get; init; } = 600;

    /// <summary>Silence on an event connection after which a comment is sent.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Keys of an output's window that a live frame shows, largest first measure first.</summary>
    public int LiveKeys { get; init; } = 12;

    /// <summary>Newest windows of an output that a live frame shows.</summary>
    public int LiveWindows { get; init; } = 4;

    /// <summary>Newest rows that a live frame shows of an output without windows.</summary>
    public int LiveNewest { get; init; } = 25;

    /// <summary>Least time between two looks at the newest rows of an output without windows: nobody reads faster.</summary>
    public TimeSpan LiveNewestEvery { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Share of one core that reading one output's live rows may take; rows that cost more are sent less often, counters are not.</summary>
    public double LiveShare { get; init; } = 0.02;

    /// <summary>Open event connections; one more is refused with 503.</summary>
    public int MaxEventConnections { get; init; } = 64;

    /// <summary>Frames that wait for a slow client before its connection is dropped.</summary>
    public int MaxQueuedFrames { get; init; } = 32;
}
