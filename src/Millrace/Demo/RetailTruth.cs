namespace Millrace.Host.Demo;

/// <summary>What one window of one country must hold.</summary>
/// <param name="Revenue">Sum of quantity × unit price, exact.</param>
internal readonly record struct WindowTruth(long Orders, long Quantity, decimal Revenue);

/// <summary>
/// What a pipeline over a <see cref="RetailReplay"/> must come to, counted in one pass without any of the pipeline's code: a record is good
/// when nothing was planted in it and its price is from 0 to 100,000.
/// </summary>
internal sealed class RetailTruth(RetailReplay replay, TimeSpan window)
{
    private readonly long _windowMicros = window.Ticks / TimeSpan.TicksPerMicrosecond;

    public long In { get; private set; }

    public long Good { get; private set; }

    public long Quarantined => In - Good;

    public Dictionary<(string Country, long WindowStartMicros), WindowTruth> Windows { get; } = [];

    public long LastMicros { get; private set; }

    /// <summary>Counts records up to <paramref name="count"/> (exclusive); goes on from where it was.</summary>
    public void CountTo(long count)
    {
        for (; In < count; In++)
        {
            LastMicros = Math.Max(LastMicros, replay.MicrosOf(In));
            var price = replay.PriceOf(In);
            if (replay.FaultOf(In) != PlantedFault.None || price < 0 || price > 100_000)
                continue;
            Good++;
            var micros = replay.MicrosOf(In);
            var key = (replay.CountryOf(In), micros - micros % _windowMicros);
            var quantity = replay.QuantityOf(In);
            var before = Windows.GetValueOrDefault(key);
            Windows[key] = new WindowTruth(before.Orders + 1, before.Quantity + quantity, before.Revenue + (quantity * price));
        }
    }
}
