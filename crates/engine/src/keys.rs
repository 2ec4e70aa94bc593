//! Private keys of the project's own (`ssh: key_data`): worked out when the first server is about to be reached, since a
//! vault may have to be asked for them.

use bowline_config::KeyData;

use crate::error::Result;
use crate::world::Call;

/// Gives them to what makes connections.
///
/// # Errors
/// Secrets that are in no file, or can't be worked out.
pub(crate) async fn hand_over(call: Call<'_>) -> Result<()> {
    let ssh = &call.config().ssh;
    if ssh.key_data.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = ssh.secrets().map(str::to_owned).collect();
    let secrets = call.project.secrets(call.world, &names).await?;
    let key = |(number, key): (usize, &KeyData)| match key {
        KeyData::Named(name) => Some((format!("the secret {name}"), secrets.get(name)?.clone())),
        KeyData::Inline(key) => Some((format!("ssh/key_data/{number}"), key.clone())),
    };
    call.world.network.take_keys(ssh.key_data.iter().enumerate().filter_map(key).collect());
    Ok(())
}
