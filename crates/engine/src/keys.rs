//! The project's own private keys (`ssh: key_data`). They are resolved just before the first connection, because a
//! vault may ask the user for a password.

use bowline_config::KeyData;

use crate::call::Call;
use crate::error::Result;

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
