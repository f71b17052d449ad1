namespace Millrace.Streams.Alerts;

/// <summary>Carries an alert's message to an address.</summary>
public interface IAlertSender
{
    /// <summary>Posts a JSON body; returns when the receiver has taken it.</summary>
    /// <param name="idempotencyKey">The same for every attempt to tell the same thing.</param>
    /// <exception cref="AlertRefusedException">The receiver did not take it, or could not be reached.</exception>
    Task PostAsync(Uri address, ReadOnlyMemory<byte> json, string idempotencyKey, CancellationToken cancellation);
}

/// <summary>A receiver did not take an alert. The message never holds the address, which may be a secret.</summary>
public sealed class AlertRefusedException(string message, bool retry) : Exception(message)
{
    /// <summary>Trying again later may help.</summary>
    public bool Retry { get; } = retry;
}
