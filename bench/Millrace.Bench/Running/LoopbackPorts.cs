using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Millrace.Bench.Running;

/// <summary>
/// Ports on loopback for servers that must be told theirs before they start. They lie outside the range from which the kernel serves those who take any
/// port, so that no connection and no other server gets one between the choice and the start; none is given twice in one process.
/// </summary>
public static class LoopbackPorts
{
    private const int Lowest = 10_240;
    private const int Fewest = 4_096;

    // A stride that spreads process ids, which mostly follow each other, over the range.
    private const int Spread = 613;

    private static readonly Lock Turn = new();
    private static readonly (int First, int End) Range = OutsideOf(EphemeralRange());
    private static int _next = Range.First + (int)((long)Environment.ProcessId * Spread % (Range.End - Range.First));

    /// <summary>Ports that follow each other, all free now.</summary>
    /// <exception cref="InvalidOperationException">So many in a row are not free.</exception>
    public static int[] Take(int count)
    {
        lock (Turn)
        {
            for (var tried = Range.First; tried < Range.End; tried++)
            {
                if (_next + count > Range.End)
                    _next = Range.First;
                var run = Enumerable.Range(_next, count).ToArray();
                var taken = Array.FindLastIndex(run, p => !IsFree(p));
                _next += taken < 0 ? count : taken + 1;
                if (taken < 0)
                    return run;
            }
        }
        throw new InvalidOperationException($"no {count} ports in a row are free from {Range.First} to {Range.End - 1}");
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static (int First, int End) OutsideOf((int First, int Last) ephemeral) =>
        ephemeral.First >= Lowest + Fewest ? (Lowest, ephemeral.First)
        : ephemeral.Last + Fewest <= IPEndPoint.MaxPort ? (ephemeral.Last + 1, IPEndPoint.MaxPort + 1)
        : (Lowest, ephemeral.Last);

    private static (int First, int Last) EphemeralRange()
    {
        const string setting = "/proc/sys/net/ipv4/ip_local_port_range";
        if (!File.Exists(setting))
            return (49_152, IPEndPoint.MaxPort); // IANA's dynamic ports, RFC 6335, section 6.
        var bounds = File.ReadAllText(setting).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return (int.Parse(bounds[0], CultureInfo.InvariantCulture), int.Parse(bounds[1], CultureInfo.InvariantCulture));
    }
}
